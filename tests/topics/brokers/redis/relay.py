"""A way to a server that can be cut, without harm to those who use another."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator

from tests.topics.brokers.redis.valkey import free_port


class Relay:
    """Passes connections on, in a thread of its own.

    Args:
        target: Port of the server.
        context: For TLS; None: without.
    """

    def __init__(self, target: int, context: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self._target = target
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread.start()
        self.mend()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Refuse connections and end those that are."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def mend(self) -> None:
        """Pass connections on, again."""
        asyncio.run_coroutine_threadsafe(self._mend(), self._loop).result(10)

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _mend(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port, ssl=self._context)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writers = {writer, their_writer}
        self._writers |= writers
        try:
            tasks = [
                asyncio.create_task(pump(reader, their_writer)),
                asyncio.create_task(pump(their_reader, writer)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in writers:
                end.transport.abort()
            await asyncio.wait(tasks)
            self._writers -= writers


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()


@contextlib.contextmanager
def relaying(target: int, context: ssl.SSLContext | None = None) -> Iterator[Relay]:
    """A relay to a port."""
    relay = Relay(target, context)
    try:
        yield relay
    finally:
        relay.close()
