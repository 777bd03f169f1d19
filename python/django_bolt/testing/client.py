"""`TestClient`, with which tests connect to endpoints."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from django.test import Client
from django.utils.asyncio import async_unsafe

from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.testing.background import BackgroundServer
from django_bolt.testing.database import share_connections
from django_bolt.testing.handlers import raise_errors
from django_bolt.testing.opening import Headers, Opening, store_cookies
from django_bolt.testing.serving import Serving
from django_bolt.testing.session import WebSocketTestSession
from django_bolt.testing.steps import SessionSteps

__all__ = ["TestClient"]

IN_A_LOOP = (
    "TestClient blocks, and this test runs on an event loop: use AsyncTestClient in 'async def' tests, "
    "with 'async with AsyncTestClient(...) as client' and 'await client.websocket_connect(...)'."
)


M = TypeVar("M", bound=Callable[..., Any])


def _blocking(method: M) -> M:
    """Refuse a method on an event loop, and keep its type, of which Django tells nothing without stubs."""
    guarded: M = async_unsafe(IN_A_LOOP)(method)
    return guarded


class TestClient(Client):
    """Connects to endpoints in a test, without a server or a port.

    What passes here is what runs: the endpoints are served by the native core over a socket pair, in a thread with an
    event loop, while the test blocks::

        with TestClient(api) as client:
            with client.websocket_connect("/ws/echo") as ws:
                ws.send_text("Hello")
                assert ws.receive_text() == "Echo: Hello"

    It is a `django.test.Client` too: ``get``, ``post``, ``login``, ``force_login`` and the rest ask the same site
    over HTTP, and ``cookies`` go with both.

    Args:
        apis: The API or APIs to test; none: those of the project, as ``runbolt`` finds them.
        host: Value of the ``Host`` header field. Django's test runner allows the default.
        timeout: Seconds that a session waits for the server before it raises TimeoutError.
        raise_handler_exceptions: Whether an exception for which the client is told of an internal error (HTTP 500,
            Close 1011), or that a dependency raises at the end, is raised in the test: once, by the session that
            learns of it, else by the end of the client.
        headers: Header fields of every request and opening handshake.
        options: Other arguments of `django.test.Client`.
    """

    __test__ = False  # pytest takes every class called Test… for one of tests

    def __init__(
        self,
        *apis: BoltAPI,
        host: str = "testserver",
        timeout: float = 5.0,
        raise_handler_exceptions: bool = True,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(headers={"Host": host, **(headers or {})}, **options)
        self.host = host
        self.timeout = timeout
        self.raise_handler_exceptions = raise_handler_exceptions
        self._default_headers = dict(headers or {})
        self._serving = Serving(apis or discover())
        self._server = BackgroundServer(self._serving)
        self._sessions: list[WebSocketTestSession] = []
        self._database = ExitStack()

    @_blocking
    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(share_connections())
            self._server.start()
            self._database = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in self._sessions:
            session.vanish()
        self._sessions.clear()
        try:
            errors = self._server.stop()
        finally:
            self._database.close()
        if self.raise_handler_exceptions:
            raise_errors(errors, error)

    @_blocking
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
            headers: Further header fields; they replace the client's of the same name.
            cookies: Cookies by name, besides those of the client.
            subprotocols: Subprotocols to offer.
            compression: Whether to offer permessage-deflate, as browsers do.
            query: Query parameters by name, added to those of the path; a list repeats the name.

        Raises:
            HandshakeRejected: The server answered with another HTTP response than 101.
            TimeoutError: The endpoint neither accepted nor refused in time.
            RuntimeError: The client is used outside of its with statement.
            SynchronousOnlyOperation: The thread runs an event loop, which this would block.
            Exception: What the handler raised before it accepted.
        """
        opening = Opening(
            path=path,
            headers=headers,
            cookies=cookies,
            subprotocols=subprotocols,
            compression=compression,
            query=query,
        )
        connection = opening.connection(self.host, self._default_headers, self.cookies)
        steps = SessionSteps(
            connection, self._serving.dispatcher, self.timeout, self.raise_handler_exceptions
        )
        session = WebSocketTestSession(steps, self._connect())
        self._sessions.append(session)
        try:
            return session.open()
        finally:
            store_cookies(self.cookies, connection)

    def _connect(self) -> socket.socket:
        """Return the client's end of a new connection, on which nothing was sent yet."""
        return self._server.connect()
