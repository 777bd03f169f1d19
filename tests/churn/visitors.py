"""What clients do to a server: some behave, most do not. Each visit is one connection, or one after another."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.attacks.wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    handshake,
    header,
    request,
)

PATIENCE = 30.0
"""Seconds within which a visitor that behaves must have its answer, on a machine that is busy."""
SOURCES = range(2, 60)
"""Last bytes of the addresses that visitors come from: one address has too few ports for so many."""
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


class Visitor:
    """One connection, without blocking.

    Args:
        address: Host and port of the server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.host = f"{address[0]}:{address[1]}"
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._read = bytearray()

    @property
    def socket(self) -> socket.socket:
        """The connected socket."""
        assert self._socket is not None
        return self._socket

    async def connect(self) -> None:
        """Connect by TCP."""
        self._socket = connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            bind_address_no_port = 24  # of <linux/in.h>: choose the port at connect
            connection.setsockopt(socket.IPPROTO_IP, bind_address_no_port, 1)
            connection.bind((f"127.0.0.{random.choice(SOURCES)}", 0))
        await self._loop.sock_connect(connection, self.address)

    async def open(self, path: str, *fields: str) -> None:
        """Connect and do the opening handshake, which must succeed."""
        await self.connect()
        await self.send(handshake(path, self.host, *fields))
        head = await self._take_head()
        assert head.startswith(b"HTTP/1.1 101 "), head

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self) -> tuple[int, bytes]:
        """Read the next frame; returns its first byte and its payload."""
        first, length = await self._take(2)
        if length > 125:
            length = int.from_bytes(await self._take(2 if length == 126 else 8), "big")
        return first, await self._take(length)

    async def receive_message(self) -> bytes:
        """Read the next data message, and answer pings before it."""
        while True:
            first, payload = await self.receive()
            opcode = first & 0x0F
            if opcode == PING:
                await self.send(frame(PONG, payload))
            elif opcode != PONG:
                assert opcode in (TEXT, BINARY), (first, payload)
                return payload

    async def read_to_end(self) -> None:
        """Read until the server ends TCP."""
        while await self._receive():
            self._read.clear()

    async def close(self) -> None:
        """Do the closing handshake, which must succeed."""
        await self.send(close_frame(1000))
        while True:
            first, _ = await self.receive()
            if first & 0x0F == CLOSE:
                break
        await self.read_to_end()

    def reset(self) -> None:
        """End TCP by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.leave()

    def leave(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    async def _take_head(self) -> bytes:
        while b"\r\n\r\n" not in self._read:
            assert await self._receive(), bytes(self._read)
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return bytes(head)

    async def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            assert await self._receive(), bytes(self._read)
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken

    async def _receive(self) -> bool:
        data = await self._loop.sock_recv(self.socket, 65_536)
        self._read += data
        return bool(data)


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def _pause(most: float = 0.5) -> None:
    await asyncio.sleep(random.random() * most)


# ── visitors that behave: what they are promised must happen ─────────────────────────────────────────────


async def close_cleanly(visitor: Visitor) -> None:
    """Talk for a while and close."""
    await visitor.open("/echo")
    for _ in range(random.randrange(5)):
        message = os.urandom(random.choice((1, 100, 1000, 30_000)))
        await visitor.send(frame(BINARY, message))
        assert await visitor.receive_message() == message
        await _pause()
    await visitor.close()


async def talk_compressed(visitor: Visitor) -> None:
    """Send compressed messages, and read the answers."""
    await visitor.open("/measure", OFFER)
    for length in (10, 5000, 500_000):
        await visitor.send(frame(BINARY, _deflate(bytes(length)), rsv=4))
        assert await visitor.receive_message() == str(length).encode()
        await _pause()
    await visitor.close()


async def reconnect(visitor: Visitor) -> None:
    """Come back again and again without a word."""
    for _ in range(random.randrange(1, 6)):
        again = Visitor(visitor.address)
        try:
            await again.open("/echo")
            await again.close()
        finally:
            again.leave()


async def half_close(visitor: Visitor) -> None:
    """End the sending side; what was sent before is answered, and then the server ends its side."""
    await visitor.open("/echo")
    await visitor.send(frame(TEXT, b"last words"))
    assert await visitor.receive_message() == b"last words"
    visitor.socket.shutdown(socket.SHUT_WR)
    await visitor.read_to_end()


async def load_a_page(visitor: Visitor) -> None:
    """Ask for a page, as browsers do on the same port."""
    await visitor.connect()
    for _ in range(random.randrange(1, 3)):
        await visitor.send(request("GET / HTTP/1.1", f"Host: {visitor.host}"))
        head = await visitor._take_head()
        assert head.startswith(b"HTTP/1.1 200 "), head
        await visitor._take(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


async def be_refused(visitor: Visitor) -> None:
    """Ask for what is not there."""
    await visitor.connect()
    await visitor.send(handshake("/nowhere", visitor.host))
    assert (await visitor._take_head()).startswith(b"HTTP/1.1 404 ")
    await visitor.read_to_end()


async def listen_to_a_broadcast(visitor: Visitor) -> None:
    """Join, say something, hear it, and leave."""
    await visitor.open("/ws/broadcast")
    word = os.urandom(8).hex().encode()
    await visitor.send(frame(TEXT, word))
    while await visitor.receive_message() != word:
        pass
    await visitor.close()


# ── visitors that do not ─────────────────────────────────────────────────────────────────────────────────


async def vanish(visitor: Visitor) -> None:
    """Reset the connection at any moment."""
    await visitor.connect()
    head = handshake("/echo", visitor.host)
    talk = frame(TEXT, b"x" * 100) * 3
    await visitor.send((head + talk)[: random.randrange(len(head) + len(talk))])
    await _pause(0.2)
    visitor.reset()


async def vanish_from_a_handler(visitor: Visitor) -> None:
    """Reset while a handler waits for something else, or sends."""
    await visitor.open(random.choice(("/deaf", "/produce", "/ws/broadcast")))
    await _pause()
    visitor.reset()


async def stall(visitor: Visitor) -> None:
    """Stop in the middle of a head, or say nothing at all, until the server ends it."""
    await visitor.connect()
    head = handshake("/echo", visitor.host)
    await visitor.send(head[: random.choice((0, 10, len(head) - 2))])
    await visitor.read_to_end()


async def stall_in_a_message(visitor: Visitor) -> None:
    """Stop in the middle of a message, and do not answer pings."""
    await visitor.open("/echo", random.choice((OFFER, "X-No: offer")))
    await visitor.send(header(0x02, 100_000) + bytes(random.randrange(50_000)))
    await visitor.read_to_end()


async def send_without_reading(visitor: Visitor) -> None:
    """Send until the server reads no more, and leave in one way or another."""
    await visitor.open(random.choice(("/echo", "/deaf")))
    with suppress(TimeoutError):
        async with asyncio.timeout(random.random()):
            while True:
                await visitor.send(frame(random.choice((TEXT, PING)), b"x" * 125) * 500)
    if random.random() < 0.5:
        visitor.reset()


async def listen_without_reading(visitor: Visitor) -> None:
    """Join a broadcast and do not read it."""
    await visitor.open("/ws/broadcast")
    await _pause(2)


async def send_garbage(visitor: Visitor) -> None:
    """Send anything in the place of frames."""
    await visitor.open("/echo", random.choice((OFFER, "X-No: offer")))
    await visitor.send(os.urandom(random.randrange(1, 2000)))
    await visitor.read_to_end()


async def send_garbage_at_once(visitor: Visitor) -> None:
    """Send anything in the place of a handshake."""
    await visitor.connect()
    await visitor.send(os.urandom(random.randrange(1, 2000)))
    await visitor.read_to_end()


async def break_the_protocol(visitor: Visitor) -> None:
    """Send a frame that is refused."""
    await visitor.open("/echo")
    bad = (frame(0x3), frame(TEXT, b"\xff"), header(0x82, 2**62), frame(TEXT, masked=False), close_frame(999))
    await visitor.send(random.choice(bad))
    await visitor.read_to_end()


Visit = Callable[[Visitor], Awaitable[None]]

BEHAVED: tuple[Visit, ...] = (
    close_cleanly,
    talk_compressed,
    reconnect,
    half_close,
    load_a_page,
    be_refused,
    listen_to_a_broadcast,
)
MISBEHAVED: tuple[Visit, ...] = (
    vanish,
    vanish_from_a_handler,
    stall,
    stall_in_a_message,
    send_without_reading,
    listen_without_reading,
    send_garbage,
    send_garbage_at_once,
    break_the_protocol,
)
