"""The client's end of a connection on an asyncio event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Self, cast

from django_bolt.testing.connection import ClientConnection

__all__ = ["Link"]


class Link(asyncio.Protocol):
    """Carries bytes between a socket and a `ClientConnection`.

    What comes is taken at once, also while the test awaits something else.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._is_full = False

    @classmethod
    async def over(cls, link: socket.socket, connection: ClientConnection) -> Self:
        """Take a connected socket."""
        make: Any = asyncio.get_running_loop().create_unix_connection
        _, protocol = await make(lambda: cls(connection), sock=link)
        assert isinstance(protocol, cls)
        return protocol

    async def write(self, timeout: float) -> bool:
        """Send what is to be sent; returns whether the server took it in time, or is gone."""
        self._flush()
        return await self.read(lambda: not self._is_full, timeout)

    async def read(self, has_come: Callable[[], bool], timeout: float) -> bool:
        """Wait until something has come; returns whether it did in time."""
        try:
            async with asyncio.timeout(timeout):
                while not has_come():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return has_come()
        return True

    def abort(self) -> None:
        """End the connection without more ado."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    async def wait_lost(self) -> None:
        """Wait until the socket is closed."""
        await self._lost.wait()

    # ── what the transport calls ─────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Take bytes from the server."""
        self._connection.receive_data(data)
        self._flush()
        self._changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self._end()
        self._lost.set()

    def pause_writing(self) -> None:
        """Note that the server does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._is_full = False
        self._changed.set()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self) -> None:
        self._connection.receive_eof()
        self._is_full = False
        self._changed.set()
