"""`AsyncWebSocketTestSession`, a connection as an asynchronous test has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from django_bolt.close_codes import CloseCode
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.json_messages import encode_json
from django_bolt.testing.link import Link
from django_bolt.testing.state import SessionState
from django_bolt.testing.steps import HandlerEnd, SessionSteps, Step, Steps, Until, Written

__all__ = ["AsyncWebSocketTestSession", "Connecting"]

T = TypeVar("T")


class AsyncWebSocketTestSession(SessionState):
    """A connection to an endpoint, as its client has it; made by `AsyncTestClient.websocket_connect`.

    Once the server has closed and what came before is received, a receive or send raises `WebSocketDisconnect`; or,
    once, what the handler has raised. Every method may be cancelled; no message is lost by it.
    """

    def __init__(self, steps: SessionSteps, link: Link) -> None:
        super().__init__(steps)
        self._link = link

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            self._link.abort()  # A test that failed already does not wait for a handler that may hang.

    def __aiter__(self) -> Self:
        """Iterate over messages until the server closes."""
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: str | bytes) -> None:
        """Send `str` as a text message, bytes as a binary one.

        Raises:
            WebSocketDisconnect: The connection has ended.
            TimeoutError: The server reads no more.
        """
        await self._run(self._steps.send(message))

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        await self._run(self._steps.send(text))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._run(self._steps.send(data))

    async def send_json(self, data: Any) -> None:
        """Send data as JSON in a text message."""
        await self._run(self._steps.send(encode_json(data).decode()))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, to try what no client should send."""
        await self._run(self._steps.send_raw(data))

    async def ping(self, data: bytes = b"") -> None:
        """Send a Ping frame and wait for its Pong."""
        await self._run(self._steps.ping(data))

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """Receive the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: Seconds to wait; None for the client's.

        Raises:
            WebSocketDisconnect: The connection has ended, and what came before was received.
            TimeoutError: Nothing came in time; the text says what the handler does.
        """
        return await self._run(self._steps.receive("a message", timeout))

    async def receive_text(self, timeout: float | None = None) -> str:
        """Receive a text message; AssertionError if it is binary. Otherwise as `receive`."""
        return await self._run(self._steps.receive_kind(str, timeout))

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Receive a binary message; AssertionError if it is text. Otherwise as `receive`."""
        return await self._run(self._steps.receive_kind(bytes, timeout))

    @overload
    async def receive_json(self, timeout: float | None = None) -> Any: ...
    @overload
    async def receive_json(self, timeout: float | None = None, *, type: type[T]) -> T: ...
    @overload
    async def receive_json(self, timeout: float | None = None, *, type: Any) -> Any: ...
    async def receive_json(self, timeout: float | None = None, *, type: Any = Any) -> Any:  # noqa: A002
        """Receive a message of either kind and decode it from JSON. Otherwise as `receive`.

        Args:
            timeout: Seconds to wait; None for the client's.
            type: What to decode into, as for `WebSocket.receive_json`.

        Raises:
            InvalidMessage: The message is no JSON, or does not fit the type.
        """
        return await self._run(self._steps.receive_json(type, timeout))

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the server closes, leaving messages unread; returns the close code."""
        return await self._run(self._steps.wait_closed(timeout))

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def close(self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close: send a Close frame and wait for the server's, and a moment for the handler to end.

        On a connection that has ended it only waits for the handler.
        """
        await self._run(self._steps.close(code, reason))
        self._link.abort()

    async def vanish(self) -> None:
        """End the connection without a closing handshake, as a client whose network fails."""
        self._link.abort()

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> Self:
        """Send the opening handshake and wait for the answer; called once, by the client."""
        try:
            await self._run(self._steps.open())
        except BaseException:
            self._link.abort()
            raise
        return self

    async def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._perform(step))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _perform(self, step: Step) -> bool:
        match step:
            case HandlerEnd(record, timeout):
                return bool((await asyncio.wait([asyncio.wrap_future(record.ended)], timeout=timeout))[0])
            case Written(timeout):
                return await self._link.write(timeout)
            case Until(has_come, timeout):
                return await self._link.write(timeout) and await self._link.read(has_come, timeout)


class Connecting:
    """A connection that is being made: await it, or use it in an ``async with`` statement."""

    def __init__(self, connect: Callable[[], Awaitable[AsyncWebSocketTestSession]]) -> None:
        self._connect = connect
        self._session: AsyncWebSocketTestSession | None = None

    def __await__(self) -> Generator[Any, None, AsyncWebSocketTestSession]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncWebSocketTestSession:
        self._session = await self._connect()
        return await self._session.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.__aexit__(kind, error, traceback)
