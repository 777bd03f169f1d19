"""A class endpoint for tests, and what serves one connection of it in memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from django_bolt import BoltAPI, HTTPException, InvalidMessage, WebSocket, WebSocketException
from django_bolt.endpoints.dispatch import Dispatcher
from tests.memory_connection import MemoryConnection, serve


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct, tag="said"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


class Fail(msgspec.Struct, tag="fail"):
    """Fail in the way that `FAILURES` has under the name."""

    how: str


FAILURES: dict[str, BaseException] = {
    "error": KeyError("secret"),
    "exception": WebSocketException(4005, "enough"),
    "cancelled": asyncio.CancelledError(),
    "group": ExceptionGroup("several", [WebSocketException(4006, "one")]),
    "invalid": InvalidMessage("too long", "$.text"),
    "http": HTTPException(404),
}

noted: list[Any] = []
"""What `Chat` has noted; each test file empties it."""


async def run(
    cls: type, *messages: str | bytes | dict[str, Any], target: str = "/", path: str = "/"
) -> MemoryConnection:
    """Serve one connection of a client that sends messages and leaves with 1001."""
    api = BoltAPI()
    api.websocket(path)(cls)
    encoded = [json.dumps(message) if isinstance(message, dict) else message for message in messages]
    return await serve(Dispatcher(api), MemoryConnection(target, messages=encoded))


def answers(connection: MemoryConnection) -> list[Any]:
    return [json.loads(message) for message in connection.sent]


class Chat:
    async def on_say(self, message: Say) -> Said | None:
        return Said(message.text.upper()) if message.text else None

    async def on_leave(self, message: Leave, websocket: WebSocket) -> None:
        await websocket.close(4001, "left")

    async def on_fail(self, message: Fail) -> None:
        raise FAILURES[message.how]

    async def on_disconnect(self, code: int, reason: str) -> None:
        noted.append((code, reason))


class Ending:
    """Notes how it ends."""

    async def on_disconnect(self, code: int) -> None:
        noted.append(code)
