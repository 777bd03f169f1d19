"""Connections with permessage-deflate, and data that takes long to compress."""

from __future__ import annotations

import random
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from django_bolt import WebSocketDisconnect, _core
from django_bolt.compression import Compression
from tests.core.loopback import Client, Handler, Peer, Server

KIB, MIB = 1 << 10, 1 << 20
CHANCE = random.Random(7692)
SLOW = bytes(CHANCE.choices(b"ab", k=512 * KIB))
"""Takes more than half a second at level 9."""
NOISE = CHANCE.randbytes(MIB)
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def prose(size: int) -> str:
    """Return text like that of a JSON API."""
    lines = (f'{{"id": {number}, "value": {number * number % 9973}}},' for number in range(size // 20))
    return "".join(lines)[:size]


def accepting(handler: Handler, **wishes: Any) -> Handler:
    """Return a handler that accepts with permessage-deflate before it runs another."""

    async def accept(ws: Peer) -> None:
        await ws.accept_handshake(None, [], Compression(**wishes))
        await handler(ws)

    return accept


async def listen(ws: Peer) -> None:
    """Leave the rest to the test, until the client goes."""
    try:
        while True:
            await ws.receive()
    except WebSocketDisconnect:
        pass


def sending(*messages: str | bytes) -> Callable[[Peer], Coroutine[Any, Any, None]]:
    """Return a handler that sends messages, and ends."""

    async def handler(ws: Peer) -> None:
        for message in messages:
            await ws.send(message)

    return handler


async def open_compressed(server: Server, buffer: int = 0) -> tuple[Client, Peer]:
    """Return both sides of a connection that agreed on compression, without context takeover."""
    client = server.client(buffer)
    client.protocol = _core.ClientProtocol("/", "testserver", compression=True)
    await client.open()
    return client, server.peers[-1]


class Wire:
    """The bytes of a connection as they come, frame by frame."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.received = b""

    async def open(self) -> Wire:
        """Send the opening handshake, and read the answer."""
        offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        await self.client.send(self.client.protocol.request()[:-4] + offer)
        while b"\r\n\r\n" not in self.received:
            self.received += await self.client.read()
        self.received = self.received.partition(b"\r\n\r\n")[2]
        return self

    async def _take(self, size: int) -> bytes:
        while len(self.received) < size:
            data = await self.client.read()
            assert data, "the connection ended"
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    async def frame(self) -> tuple[int, bytes, bool]:
        """Return opcode and payload of a frame that is a whole message, and whether it was compressed."""
        first, length = await self._take(2)
        assert first & 0x80, "a fragment"
        if length >= 126:
            length = int.from_bytes(await self._take(2 if length == 126 else 8))
        payload = await self._take(length)
        is_compressed = bool(first & 0x40)
        if is_compressed:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return first & 0x0F, payload, is_compressed


async def open_wire(server: Server, buffer: int = 0) -> tuple[Wire, Peer]:
    """Return the bytes and the server's side of a connection that agreed on compression."""
    wire = await Wire(server.client(buffer)).open()
    return wire, server.peers[-1]


@asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[ClientConnection]:
    """Connect with the library websockets, which keeps its context."""
    with server.listen() as listener:
        host, port = listener.getsockname()
        async with connect(f"ws://{host}:{port}/", max_size=None, ping_interval=None) as client:
            yield client


async def sending_then_listening(ws: Peer) -> None:
    """Send a long message, and then none."""
    await ws.send(prose(300 * KIB))
    await listen(ws)


def slices(server: Server) -> int:
    """Return how many pieces of work were done."""
    return server.reactor.counters["compression_slices"]
