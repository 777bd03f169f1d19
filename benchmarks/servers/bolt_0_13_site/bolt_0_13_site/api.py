"""The handlers on django-bolt 0.13, the project of the same name on PyPI."""

import msgspec

from django_bolt import BoltAPI
from django_bolt.auth import IsAuthenticated, JWTAuthentication
from django_bolt.websocket import WebSocket

api = BoltAPI()


@api.websocket("/ws/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"Echo: {message}")


connected_clients = set()


@api.websocket("/ws/broadcast")
async def broadcast(websocket: WebSocket):
    await websocket.accept()
    connected_clients.add(websocket)

    try:
        async for message in websocket.iter_text():
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_text(message)
    finally:
        connected_clients.discard(websocket)


@api.websocket("/ws/binary")
async def binary(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


class Message(msgspec.Struct):
    id: int
    text: str


decode = msgspec.json.Decoder(Message).decode
encode = msgspec.json.Encoder().encode


@api.websocket("/ws/json")
async def json(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(encode(decode(message)).decode())


@api.websocket("/ws/protected", auth=[JWTAuthentication()], guards=[IsAuthenticated()])
async def protected(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"Echo: {message}")
