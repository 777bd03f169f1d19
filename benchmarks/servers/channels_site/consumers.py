"""The handlers on Channels, as its documentation writes them."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from messages import decode, encode
from tokens import user_of

connected_clients: set[AsyncWebsocketConsumer] = set()


class Echo(AsyncWebsocketConsumer):
    """Send every message back with a prefix."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        await self.send(text_data=f"Echo: {text_data}")


class Broadcast(AsyncWebsocketConsumer):
    """Send every message to all clients."""

    async def connect(self) -> None:
        """Remember the client."""
        await self.accept()
        connected_clients.add(self)

    async def disconnect(self, code: int) -> None:
        """Forget it."""
        connected_clients.discard(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Broadcast to all clients."""
        for client in connected_clients:
            await client.send(text_data=text_data)


class Topic(AsyncWebsocketConsumer):
    """Send every message to the group."""

    async def connect(self) -> None:
        """Join the group."""
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave it."""
        await self.channel_layer.group_discard("room", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Publish to the group."""
        await self.channel_layer.group_send("room", {"type": "room.message", "text": text_data})

    async def room_message(self, event: dict[str, Any]) -> None:
        """Deliver."""
        await self.send(text_data=event["text"])


class Binary(AsyncWebsocketConsumer):
    """Send every binary message back."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        await self.send(bytes_data=bytes_data)


class Json(AsyncWebsocketConsumer):
    """Decode every message into a struct, and send that back."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        await self.send(text_data=encode(decode(text_data)).decode())


class Protected(Echo):
    """Let in who has a token, then echo."""

    async def connect(self) -> None:
        """Look at the token."""
        authorization = dict(self.scope["headers"]).get(b"authorization", b"").decode()
        if user_of(authorization) is None:
            await self.close()
        else:
            await self.accept()
