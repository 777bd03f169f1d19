"""`AsyncTestClient`, with which asynchronous tests connect to endpoints."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from django.test import AsyncClient

from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.testing.async_session import AsyncWebSocketTestSession, Connecting
from django_bolt.testing.database import ashare_connections
from django_bolt.testing.handlers import raise_errors
from django_bolt.testing.link import Link
from django_bolt.testing.opening import Headers, Opening, store_cookies
from django_bolt.testing.serving import Serving
from django_bolt.testing.steps import SessionSteps

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedASGIResponse

__all__ = ["AsyncTestClient"]


class AsyncTestClient(AsyncClient):
    """Connects to endpoints in an ``async def`` test, without a server or a port.

    The endpoints are served on the event loop of the test, so that both can share its events, locks and tasks::

        async with AsyncTestClient(api) as client:
            async with client.websocket_connect("/ws/echo") as ws:
                await ws.send_text("Hello")
                assert await ws.receive_text() == "Echo: Hello"

    It is a `django.test.AsyncClient` too: ``await client.get(...)``, ``await client.aforce_login(user)`` and the rest
    ask the same site over HTTP, and ``cookies`` go with both.

    Args:
        apis: The API or APIs to test; none: those of the project, as ``runbolt`` finds them.
        host: Value of the ``Host`` header field. Django's test runner allows the default.
        timeout: Seconds that a session waits for the server before it raises TimeoutError.
        raise_handler_exceptions: Whether an exception for which the client is told of an internal error (HTTP 500,
            Close 1011), or that a dependency raises at the end, is raised in the test: once, by the session that
            learns of it, else by the end of the client.
        headers: Header fields of every request and opening handshake.
        options: Other arguments of `django.test.AsyncClient`.
    """

    __test__ = False

    def __init__(
        self,
        *apis: BoltAPI,
        host: str = "testserver",
        timeout: float = 5.0,
        raise_handler_exceptions: bool = True,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.host = host
        self.timeout = timeout
        self.raise_handler_exceptions = raise_handler_exceptions
        self._default_headers = dict(headers or {})
        self._serving = Serving(apis or discover())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._links: list[Link] = []
        self._database = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("The client is open already: one with statement at a time.")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "AsyncTestClient needs an event loop of asyncio, not of another library."
            ) from None
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(ashare_connections())
            await self._serving.start()
            self._database = stack.pop_all()
        self._loop = loop
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._require_loop()
        for link in self._links:
            link.abort()
            await link.wait_lost()
        self._links.clear()
        self._loop = None
        try:
            errors = await self._serving.stop(owns_loop=False)
        finally:
            await self._database.aclose()
        if self.raise_handler_exceptions:
            raise_errors(errors, error)

    def websocket_connect(
        self,
        path: str,
        *,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        compression: bool = False,
        query: Mapping[str, Any] | None = None,
    ) -> Connecting:
        """Connect to an endpoint and wait for its answer: ``await`` the result, or enter it by ``async with``.

        Args:
            path: Path, with a query string or without.
            headers: Further header fields; they replace the client's of the same name.
            cookies: Cookies by name, besides those of the client.
            subprotocols: Subprotocols to offer.
            compression: Whether to offer permessage-deflate, as browsers do.
            query: Query parameters by name, added to those of the path; a list repeats the name.

        Raises (when awaited):
            HandshakeRejected: The server answered with another HTTP response than 101.
            TimeoutError: The endpoint neither accepted nor refused in time.
            RuntimeError: The client is used outside of its with statement, or on another event loop.
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
        return Connecting(lambda: self._connect(opening))

    async def request(self, **request: Any) -> _MonkeyPatchedASGIResponse:
        """Make a request, with the header fields of the client."""
        # Django's own client names its header fields wrongly when they are given to its constructor.
        given = [(name, value) for name, value in request.get("headers", ()) if name != b"host"]
        names = {name for name, _ in given}
        own = {"host": self.host} | {name.lower(): value for name, value in self._default_headers.items()}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in own.items()]
        request["headers"] = [*given, *(pair for pair in pairs if pair[0] not in names)]
        return await super().request(**request)

    async def _connect(self, opening: Opening) -> AsyncWebSocketTestSession:
        self._require_loop()
        connection = opening.connection(self.host, self._default_headers, self.cookies)
        server, client = socket.socketpair()
        self._serving.adopt(server.detach())
        link = await Link.over(client, connection)
        self._links.append(link)
        steps = SessionSteps(
            connection, self._serving.dispatcher, self.timeout, self.raise_handler_exceptions
        )
        try:
            return await AsyncWebSocketTestSession(steps, link).open()
        finally:
            store_cookies(self.cookies, connection)

    def _require_loop(self) -> None:
        if self._loop is None:
            raise RuntimeError("The client is not open: use it in an 'async with' statement.")
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "The client was opened on another event loop: open it on that of the test. "
                "A fixture that opens it needs the loop scope of the test."
            )
