"""The handlers on Starlette, to be served by uvicorn."""

from __future__ import annotations

from messages import decode, encode
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from tokens import user_of

connected_clients: set[WebSocket] = set()


async def echo(websocket: WebSocket) -> None:
    """Send every message back with a prefix."""
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"Echo: {message}")


async def broadcast(websocket: WebSocket) -> None:
    """Send every message to all clients."""
    await websocket.accept()
    connected_clients.add(websocket)

    try:
        async for message in websocket.iter_text():
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_text(message)
    finally:
        connected_clients.discard(websocket)


async def binary(websocket: WebSocket) -> None:
    """Send every binary message back."""
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


async def json(websocket: WebSocket) -> None:
    """Decode every message into a struct, and send that back."""
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(encode(decode(message)).decode())


async def protected(websocket: WebSocket) -> None:
    """Let in who has a token, then echo."""
    if user_of(websocket.headers.get("authorization")) is None:
        await websocket.close(1008)
        return
    await echo(websocket)


app = Starlette(
    routes=[
        WebSocketRoute("/ws/echo", echo),
        WebSocketRoute("/ws/broadcast", broadcast),
        WebSocketRoute("/ws/binary", binary),
        WebSocketRoute("/ws/json", json),
        WebSocketRoute("/ws/protected", protected),
    ]
)
