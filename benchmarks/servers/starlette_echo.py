"""The specification's echo and broadcast handlers on Starlette, to be served by uvicorn."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

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


app = Starlette(routes=[WebSocketRoute("/ws/echo", echo), WebSocketRoute("/ws/broadcast", broadcast)])
