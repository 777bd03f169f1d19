"""From an opening handshake to the task that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.refusals import RETRY, answer_refusal, find_refusal
from django_bolt.endpoints.routing import Router
from django_bolt.endpoints.serving import serve
from django_bolt.endpoints.tally import Tally, client_network
from django_bolt.endpoints.websocket import WebSocket

__all__ = ["Dispatcher"]


class Dispatcher:
    """Answers opening handshakes with the endpoints of APIs.

    Give it to an engine as its application. The order is: path (404), host (400), origin (403), connections of
    one address (429), and then, in the task of the connection, authentication (401), guards (403), connections of
    one user (429), parameters (422), handler.

    Args:
        apis: APIs, or iterables of them; their endpoints are taken as they are now.

    Raises:
        EndpointCollision: Two endpoints have one path.
    """

    def __init__(self, *apis: BoltAPI | Iterable[BoltAPI]) -> None:
        self.endpoints = tuple(endpoint for api in _flatten(apis) for endpoint in api.endpoints)
        self.tasks: set[asyncio.Task[None]] = set()
        """The running tasks, one for each connection."""
        self._router = Router.of(self.endpoints)
        self._forget = self.tasks.discard
        self._by_ip = Tally()
        self._by_user = Tally()

    def __call__(self, websocket: WebSocket) -> None:
        """Begin to serve a connection; must be called on the event loop, and does not block."""
        match = self._router.match(websocket.path)
        if match is None:
            self._start(websocket, answer_refusal(websocket, HTTPStatus.NOT_FOUND, "no endpoint"))
            return
        refusal = find_refusal(websocket) or self._refuse_crowd(websocket)
        if refusal is not None:
            self._start(websocket, refusal)
            return
        websocket.bind(match.endpoint, match.path_params)
        self._start(websocket, serve(websocket, match.endpoint, self._by_user), is_counted=True)

    def _start(
        self, websocket: WebSocket, coroutine: Coroutine[Any, Any, None], is_counted: bool = False
    ) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._forget)
        if not task.done():  # a task of an eager factory may have ended by now
            websocket.attach_task(task)
        if is_counted and bolt_settings().max_connections_per_ip is not None:
            self._by_ip.count(_network(websocket), task)

    def _refuse_crowd(self, websocket: WebSocket) -> Coroutine[Any, Any, None] | None:
        limit = bolt_settings().max_connections_per_ip
        if limit is None or not self._by_ip.is_full(_network(websocket), limit):
            return None
        cause = f"BOLT['MAX_CONNECTIONS_PER_IP'] is {limit}"
        return answer_refusal(websocket, HTTPStatus.TOO_MANY_REQUESTS, cause, RETRY)


def _flatten(apis: Iterable[BoltAPI | Iterable[BoltAPI]]) -> Iterable[BoltAPI]:
    for entry in apis:
        if isinstance(entry, BoltAPI):
            yield entry
        else:
            yield from entry


def _network(websocket: WebSocket) -> str | None:
    """Return what the client is counted by; None on a Unix socket."""
    client = websocket.client
    return client_network(client[0]) if client else None
