"""What `scripts/memcheck` runs under valgrind: every way of a message through the core, quickly."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress

from django_bolt import _core
from django_bolt.compression import Compression
from django_bolt.exceptions import WebSocketDisconnect

MESSAGES: tuple[str | bytes, ...] = ("a", "x" * 500, "é" * 30_000, b"y" * 40_000, "z" * 300_000, b"")
DEADLINE = 60.0


class Peer(_core.Connection):
    """The server's side."""

    __slots__ = ("__weakref__",)


async def echo(websocket: Peer, compression: Compression) -> None:
    """Echo by every kind of receive, some of them cancelled."""
    websocket.enter_handler()
    try:
        await websocket.accept_handshake(None, [("X-One", "1")], compression)
        async for message in websocket:
            await websocket.send(message)
            with suppress(TimeoutError):
                await websocket.send(await asyncio.wait_for(websocket.receive(), 0.01))
            with suppress(TimeoutError):
                await websocket.send(
                    await asyncio.wait_for(websocket.receive_decoded(lambda data: data), 0.01)
                )
    except WebSocketDisconnect:
        pass
    finally:
        websocket.detach_task()


async def visit(reactor: _core.Reactor, compression: bool, vanishes: bool) -> None:
    """Be a client once."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reactor.adopt(theirs.detach())
    protocol = _core.ClientProtocol("/", "localhost", compression=compression)

    async def answer() -> None:
        while not protocol.receive_data(await asyncio.wait_for(loop.sock_recv(ours, 65536), DEADLINE)):
            pass

    with ours:
        await loop.sock_sendall(ours, protocol.request())
        await answer()
        for message in MESSAGES:
            text = isinstance(message, str)
            await loop.sock_sendall(ours, protocol.text(message) if text else protocol.binary(message))  # type: ignore[arg-type]
            await answer()
        if not vanishes:
            await loop.sock_sendall(ours, protocol.ping(b"!") + protocol.close())
            await answer()


async def main() -> None:
    """Serve visits of all kinds, then close in the middle of one."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    wishes = [Compression(min_size=100), Compression(min_size=100, server_no_context_takeover=False)]

    def serve(websocket: Peer) -> None:
        task = loop.create_task(echo(websocket, wishes[len(tasks) % 2]))
        tasks.add(task)
        websocket.attach_task(task)

    reactor = _core.Reactor(loop, Peer, serve)
    reactor.start()
    for number in range(8):
        await visit(reactor, compression=bool(number & 1), vanishes=bool(number & 2))
    gc.collect()
    ours, theirs = socket.socketpair()
    reactor.adopt(theirs.detach(), b"GET / HTTP/1.1\r\nHost: a\r\n")
    await asyncio.sleep(0.1)
    reactor.close()
    ours.close()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    asyncio.run(main())
