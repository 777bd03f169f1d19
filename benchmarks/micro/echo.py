"""Echo so many messages by a coroutine, over a socket pair: ``python echo.py COUNT``. See ``instructions.py``.

The client is as small as can be: sixteen frames, laid out once, in each write.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from django_bolt import _core
from django_bolt.exceptions import WebSocketDisconnect

BATCH = 16
MESSAGE = "x" * 32


class Peer(_core.Connection):
    """The server's side."""

    __slots__ = ()


async def echo(websocket: Peer) -> None:
    """Serve the connection."""
    websocket.enter_handler()
    try:
        await websocket.accept_handshake(None, [])
        async for message in websocket.iter_text():
            await websocket.send_text(message)
    except WebSocketDisconnect:
        pass
    finally:
        websocket.detach_task()


async def receive(ours: socket.socket, length: int) -> None:
    """Read so many bytes."""
    loop = asyncio.get_running_loop()
    while length > 0:
        length -= len(await loop.sock_recv(ours, 65_536))


async def main(count: int) -> None:
    """Exchange the messages."""
    loop = asyncio.get_running_loop()
    tasks = set()

    def serve(websocket: Peer) -> None:
        task = loop.create_task(echo(websocket))
        websocket.attach_task(task)
        tasks.add(task)

    options = _core.Options(max_connections=1, ping_interval=0.0)
    reactor = _core.Reactor(loop, Peer, serve, None, options)
    reactor.start()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reactor.adopt(theirs.detach())
    protocol = _core.ClientProtocol("/", "localhost")
    await loop.sock_sendall(ours, protocol.request())
    while not protocol.receive_data(await loop.sock_recv(ours, 65_536)):
        pass
    frames = b"".join(protocol.text(MESSAGE) for _ in range(BATCH))
    for _ in range(count // BATCH):
        await loop.sock_sendall(ours, frames)
        await receive(ours, BATCH * (2 + len(MESSAGE)))
    ours.close()
    await asyncio.gather(*tasks)
    reactor.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
