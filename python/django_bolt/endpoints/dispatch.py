"""From an opening handshake to the end of its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any

from django_bolt.auth.admission import admit
from django_bolt.auth.defaults import default_authentication, default_guards
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.api import BoltAPI, Endpoint
from django_bolt.endpoints.headers import join_headers
from django_bolt.endpoints.origin import host_of, is_host_allowed, is_origin_allowed
from django_bolt.endpoints.outcome import conclude, conclude_exception, log_refusal, refuse
from django_bolt.endpoints.routing import Router
from django_bolt.endpoints.tally import Tally
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import HTTPException

__all__ = ["Dispatcher"]

RETRY = {"Retry-After": "10"}
"""Header fields of a 429."""


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
            self._start(websocket, _refuse(websocket, HTTPStatus.NOT_FOUND, "no endpoint"))
            return
        refusal = _find_refusal(websocket) or self._refuse_crowd(websocket)
        if refusal is not None:
            self._start(websocket, refusal)
            return
        websocket.bind(match.endpoint, match.path_params)
        self._start(websocket, self._serve(websocket, match.endpoint), is_counted=True)

    def _start(
        self, websocket: WebSocket, coroutine: Coroutine[Any, Any, None], is_counted: bool = False
    ) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._forget)
        if not task.done():  # a task of an eager factory may have ended by now
            websocket.attach_task(task)
        if is_counted and bolt_settings().max_connections_per_ip is not None:
            self._by_ip.count(_address(websocket), task)

    def _refuse_crowd(self, websocket: WebSocket) -> Coroutine[Any, Any, None] | None:
        limit = bolt_settings().max_connections_per_ip
        if limit is None or not self._by_ip.is_full(_address(websocket), limit):
            return None
        cause = f"BOLT['MAX_CONNECTIONS_PER_IP'] is {limit}"
        return _refuse(websocket, HTTPStatus.TOO_MANY_REQUESTS, cause, RETRY)

    async def _serve(self, websocket: WebSocket, endpoint: Endpoint) -> None:
        """Run a handler from admission to its end.

        With thousands of idle connections this frame and the handler's are all that waits: what is needed before
        the handler runs is done, and gone, in `_prepare`.
        """
        websocket.enter_handler()
        try:
            await (await self._prepare(websocket, endpoint))
        except BaseException as error:
            # Raised from here and not from there: a frame that is in the traceback of an exception that it holds
            # would keep the connection alive until the garbage collector comes.
            if not await conclude_exception(websocket, endpoint, error):
                raise
        else:
            await conclude(websocket)
        finally:
            websocket.detach_task()

    async def _prepare(self, websocket: WebSocket, endpoint: Endpoint) -> Coroutine[Any, Any, Any]:
        """Admit the client and return the handler's coroutine, not yet begun."""
        authentications = default_authentication() if endpoint.auth is None else endpoint.auth
        guards = default_guards() if endpoint.guards is None else endpoint.guards
        if authentications or guards:
            await admit(websocket, authentications, guards)
            self._count_user(websocket)
        plan = endpoint.parameters
        query_params = websocket.query_params if plan.reads_query else None
        arguments = plan.convert(websocket.path_params, query_params) if plan.reads_request else {}
        websocket.release_request()
        if plan.websocket is None:
            return endpoint.handler(websocket, **arguments)
        return endpoint.handler(**{plan.websocket: websocket}, **arguments)

    def _count_user(self, websocket: WebSocket) -> None:
        limit = bolt_settings().max_connections_per_user
        user_id, task = websocket.context.get("user_id"), asyncio.current_task()
        if limit is None or user_id is None or task is None:
            return
        if self._by_user.is_full(user_id, limit):
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, headers=RETRY)
        self._by_user.count(user_id, task)


def _flatten(apis: Iterable[BoltAPI | Iterable[BoltAPI]]) -> Iterable[BoltAPI]:
    for entry in apis:
        if isinstance(entry, BoltAPI):
            yield entry
        else:
            yield from entry


def _find_refusal(websocket: WebSocket) -> Coroutine[Any, Any, None] | None:
    """Check host and origin; settings that cannot be read are the server's fault and refuse everybody."""
    headers = join_headers(websocket.raw_headers)
    host, origin = host_of(headers), headers.get("origin")
    if not is_host_allowed(host):
        return _refuse(websocket, HTTPStatus.BAD_REQUEST, f"host {host!r} is not in ALLOWED_HOSTS")
    if not is_origin_allowed(origin, host):
        cause = (
            f"origin {origin!r} is neither {host!r} nor in CSRF_TRUSTED_ORIGINS or BOLT['ALLOWED_ORIGINS']"
        )
        return _refuse(websocket, HTTPStatus.FORBIDDEN, cause)
    return None


async def _refuse(
    websocket: WebSocket, status: HTTPStatus, cause: str, headers: dict[str, str] | None = None
) -> None:
    log_refusal(websocket, status, cause)
    try:
        await refuse(websocket, status, status.phrase, headers)
    finally:
        websocket.detach_task()


def _address(websocket: WebSocket) -> str | None:
    """Return the client's address without its port."""
    client = websocket.client
    return client[0] if client else None
