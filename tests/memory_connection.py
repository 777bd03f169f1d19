"""An engine in memory, for tests of what the endpoint layer decides; the wire is tested on the real one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from django_bolt import UnsupportedData, WebSocket, WebSocketDisconnect
from django_bolt.endpoints.dispatch import Dispatcher

CONNECTING, CONNECTED, DISCONNECTED = 0, 1, 2


class MemoryConnection(WebSocket):
    """Keeps in attributes what was sent to the client.

    Args:
        target: Request target.
        headers: Header fields besides ``host``.
        messages: What the client sends before it leaves.
        host: Value of ``host``; None leaves it out.
    """

    def __init__(
        self,
        target: str = "/",
        headers: Sequence[tuple[str, str]] = (),
        messages: Sequence[str | bytes] = (),
        host: str | None = "testserver",
    ) -> None:
        self._ready_state = CONNECTING
        self._target = target
        self._raw_headers = [*([("host", host)] if host is not None else []), *headers]
        self._messages = deque(messages)
        self.accepted: tuple[str | None, list[tuple[str, str]]] | None = None
        self.rejected: tuple[int, list[tuple[str, str]], bytes] | None = None
        self.closed: tuple[int, str] | None = None
        self.failed: tuple[int, str] | None = None
        self.left: tuple[int, str] | None = None
        self.sent: list[str | bytes] = []
        self.entered = False

    id = 7
    peer = ("192.0.2.1", 50000)
    is_secure = False
    server = ("127.0.0.1", 8000)
    buffered_amount = 0

    @property
    def hub(self) -> None:
        return None

    @property
    def ready_state(self) -> int:
        return self._ready_state

    @property
    def target(self) -> str:
        return self._target

    @property
    def raw_headers(self) -> list[tuple[str, str]]:
        return self._raw_headers

    def header_values(self, name: str) -> list[str]:
        return [value for key, value in self._raw_headers if key == name]

    @property
    def close_code(self) -> int | None:
        ended = self.closed or self.failed or self.left
        return ended[0] if ended else None

    @property
    def close_reason(self) -> str:
        ended = self.closed or self.failed or self.left
        return ended[1] if ended else ""

    def leave(self) -> None:
        """Let the client go away without a closing handshake."""
        self._ready_state = DISCONNECTED
        self.left = (1006, "")

    async def accept_handshake(
        self, subprotocol: str | None, headers: Sequence[tuple[str, str]], compression: Any = None
    ) -> None:
        if self._ready_state == DISCONNECTED:
            raise WebSocketDisconnect(1006)
        self._ready_state = CONNECTED
        self.accepted = (subprotocol, list(headers))

    async def reject_handshake(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        if self._ready_state != CONNECTING:
            raise RuntimeError("answered already")
        self._ready_state = DISCONNECTED
        self.rejected = (status, list(headers), body)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self._ready_state != DISCONNECTED:
            self.closed = (int(code), reason)
        self._ready_state = DISCONNECTED

    def fail(self, code: int, reason: str = "") -> None:
        self._ready_state = DISCONNECTED
        self.failed = (int(code), reason)

    async def send(self, data: str | bytes | bytearray | memoryview) -> None:
        self._send(data if isinstance(data, str) else bytes(data))

    async def send_text(self, text: str) -> None:
        self._send(text)

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        self._send(bytes(data))

    async def send_encoded(self, data: bytes) -> None:
        self._send(data.decode())

    def _send(self, data: str | bytes) -> None:
        if self._ready_state == DISCONNECTED:
            raise WebSocketDisconnect(1006)
        self.sent.append(data)

    async def receive(self) -> str | bytes:
        if not self._messages or self._ready_state == DISCONNECTED:
            self._ready_state = DISCONNECTED
            self.left = (1001, "bye")
            raise WebSocketDisconnect(self.close_code or 1001, self.close_reason)
        return self._messages.popleft()

    async def receive_text(self) -> str:
        message = await self.receive()
        if isinstance(message, bytes):
            raise UnsupportedData("text", "binary")
        return message

    async def receive_decoded(self, decoder: Callable[[str | bytes], Any]) -> Any:
        return decoder(await self.receive())

    async def iter_text(self) -> AsyncIterator[str]:
        while True:
            yield await self.receive_text()

    async def iter_decoded(self, decoder: Callable[[str | bytes], Any]) -> AsyncIterator[Any]:
        while True:
            yield await self.receive_decoded(decoder)

    def attach_task(self, task: asyncio.Task[Any]) -> None:
        self.task = task

    def detach_task(self) -> None:
        self.is_detached = True

    def enter_handler(self) -> None:
        self.entered = True


async def serve(dispatcher: Dispatcher, connection: MemoryConnection) -> MemoryConnection:
    """Run a connection to its end."""
    dispatcher(connection)
    await asyncio.wait([connection.task])
    return connection
