"""A class under the decorator stays the class that it is."""

from __future__ import annotations

from typing import assert_type

import msgspec

from django_bolt import BoltAPI, WebSocket

api = BoltAPI()


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct, tag="said"):
    text: str


@api.websocket("/chat/{room_id}")
class Chat:
    async def on_connect(self, websocket: WebSocket, room_id: int) -> None:
        self.websocket = websocket
        self.room_id = room_id

    async def on_say(self, message: Say) -> Said | None:
        return Said(message.text) if self.room_id else None

    async def on_disconnect(self, code: int, reason: str) -> None:
        assert_type(self.websocket, WebSocket)
        assert_type(self.room_id, int)


async def use() -> None:
    chat = Chat()
    assert_type(chat, Chat)
    assert_type(await chat.on_say(Say("hi")), Said | None)
    await chat.on_say("hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
