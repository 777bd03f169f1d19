"""The endpoint that the cases talk to."""

from __future__ import annotations

from django_bolt import BoltAPI, WebSocket

api = BoltAPI()


@api.websocket("/")
async def echo(websocket: WebSocket) -> None:
    """Send each message back, as the type it came in."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)
