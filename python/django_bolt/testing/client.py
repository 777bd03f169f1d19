"""`TestClient`, with which tests connect to endpoints."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from django_bolt import _core
from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.testing.background import BackgroundServer
from django_bolt.testing.session import WebSocketTestSession

__all__ = ["TestClient"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class TestClient:
    """Connects to endpoints in a test, without a server or a port.

    What passes here is what runs: the endpoints are served by the native core over a socket pair, in a thread with an
    event loop, while the test blocks::

        with TestClient(api) as client:
            with client.websocket_connect("/ws/echo") as ws:
                ws.send_text("Hello")
                assert ws.receive_text() == "Echo: Hello"

    Args:
        apis: The API or APIs to test; none: those of the project, as ``runbolt`` finds them.
        host: Value of the ``Host`` header field. Django's test runner allows the default.
        timeout: Seconds that a session waits for the server before it raises TimeoutError.
    """

    __test__ = False  # pytest takes every class called Test… for one of tests

    def __init__(self, *apis: BoltAPI, host: str = "testserver", timeout: float = 5.0) -> None:
        self.host = host
        self.timeout = timeout
        self._dispatcher = Dispatcher(apis or discover())
        self._server = BackgroundServer(self._dispatcher)
        self._sessions: list[WebSocketTestSession] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in self._sessions:
            session.vanish()
        self._sessions.clear()
        self._server.stop()

    def websocket_connect(
        self,
        path: str,
        *,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        compression: bool = False,
        query: Mapping[str, Any] | None = None,
    ) -> WebSocketTestSession:
        """Connect to an endpoint and wait for its answer.

        Args:
            path: Path, with a query string or without.
            headers: Further header fields.
            cookies: Cookies by name.
            subprotocols: Subprotocols to offer.
            compression: Whether to offer permessage-deflate, as browsers do.
            query: Query parameters by name, added to those of the path; a list repeats the name.

        Raises:
            HandshakeRejected: The server answered with another HTTP response than 101.
            TimeoutError: The endpoint neither accepted nor refused in time.
            RuntimeError: The client is used outside of its with statement.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        if cookies:
            pairs.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        target = _add_query(path, query)
        protocol = _core.ClientProtocol(target, self.host, pairs, list(subprotocols), compression)
        session = WebSocketTestSession(self._connect(), protocol, self.timeout)
        self._sessions.append(session)
        return session.open()

    def _connect(self) -> socket.socket:
        reactor = self._server.reactor
        server, client = socket.socketpair()
        self._server.call(reactor.adopt, server.detach())
        return client


def _add_query(path: str, query: Mapping[str, Any] | None) -> str:
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(query, doseq=True)}"
