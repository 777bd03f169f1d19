"""The handlers on Litestar, to be served by uvicorn."""

from __future__ import annotations

from litestar import Litestar, WebSocket, websocket
from messages import decode, encode
from tokens import user_of

connected_clients: set[WebSocket] = set()


async def answer_texts(socket: WebSocket) -> None:
    """Send every message back with a prefix."""
    await socket.accept()
    async for message in socket.iter_data():
        await socket.send_text(f"Echo: {message}")


@websocket("/ws/echo")
async def echo(socket: WebSocket) -> None:
    """Echo."""
    await answer_texts(socket)


@websocket("/ws/broadcast")
async def broadcast(socket: WebSocket) -> None:
    """Send every message to all clients."""
    await socket.accept()
    connected_clients.add(socket)

    try:
        async for message in socket.iter_data():
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_text(message)
    finally:
        connected_clients.discard(socket)


@websocket("/ws/binary")
async def binary(socket: WebSocket) -> None:
    """Send every binary message back."""
    await socket.accept()
    async for message in socket.iter_data(mode="binary"):
        await socket.send_bytes(message)


@websocket("/ws/json")
async def json(socket: WebSocket) -> None:
    """Decode every message into a struct, and send that back."""
    await socket.accept()
    async for message in socket.iter_data():
        await socket.send_text(encode(decode(message)))


@websocket("/ws/protected")
async def protected(socket: WebSocket) -> None:
    """Let in who has a token, then echo."""
    if user_of(socket.headers.get("authorization")) is None:
        await socket.close(code=1008)
        return
    await answer_texts(socket)


app = Litestar([echo, broadcast, binary, json, protected], openapi_config=None)
