"""Typed messages, received by functions and by classes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from pydantic import BaseModel, Field

from django_bolt import BoltAPI, Depends, InvalidMessage, WebSocket, WebSocketException
from tests.project.recorder import record

typed_api = BoltAPI(prefix="/typed")


class Say(msgspec.Struct, tag="say"):
    """Say something."""

    text: str
    times: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1


class Said(msgspec.Struct, tag="said"):
    """Something was said."""

    text: str
    by: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


@dataclass(slots=True)  # msgspec sends a decoded dataclass without its defaults where it has none
class Point:
    """A place."""

    x: int
    y: float = 0.0


class Named(TypedDict):
    """A name."""

    name: str


class Paint(BaseModel):
    """Paint a place."""

    type: Literal["paint"] = "paint"
    colour: str
    at: list[int]


class Wipe(BaseModel):
    """Wipe everything."""

    type: Literal["wipe"]


class Colour(Enum):
    """A colour."""

    RED = "red"


TYPES: dict[str, Any] = {
    "struct": Say,
    "union": Say | Leave,
    "dataclass": Point,
    "typed-dict": Named,
    "model": Paint,
    "models": Paint | Wipe,
    "discriminated": list[Annotated[Paint | Wipe, Field(discriminator="type")]],
    "list": list[Point],
}


@typed_api.websocket("/receive/{name}")
async def receive(websocket: WebSocket, name: str):
    """Answer each message by its type and itself, or by what is wrong with it."""
    await websocket.accept()
    while True:
        try:
            message = await websocket.receive_json(type=TYPES[name])
        except InvalidMessage as invalid:
            await websocket.send_json({"invalid": invalid.errors})
        else:
            await websocket.send_json({type(message).__name__: message})


@typed_api.websocket("/iterate/{name}")
async def iterate(websocket: WebSocket, name: str):
    """Answer each message; an invalid one is not caught."""
    await websocket.accept()
    async for message in websocket.iter_json(type=TYPES[name]):
        await websocket.send_json(message)


@typed_api.websocket("/send")
async def send(websocket: WebSocket):
    """Send everything that has a JSON form."""
    await websocket.accept()
    await websocket.send_json(
        {
            "struct": Say("hi"),
            "dataclass": Point(1),
            "models": [Paint(colour="red", at=[1, 2]), {"wipe": Wipe(type="wipe")}],
            "datetime": datetime(2026, 2, 28, 12, 30, tzinfo=UTC),
            "date": date(2026, 2, 28),
            "uuid": UUID(int=1),
            "decimal": Decimal("1.10"),
            "enum": Colour.RED,
            "lazy": gettext_lazy("Yes"),
            gettext_lazy("No"): mark_safe("<b>"),
            "set": {1},
        }
    )


# ── classes ──────────────────────────────────────────────────────────────────────────────────────────────


async def current_user(websocket: WebSocket, name: str = "nobody") -> str:
    """Return who speaks."""
    return name.title()


class Noting:
    """Notes its end."""

    websocket: WebSocket

    async def on_disconnect(self, code: int, reason: str) -> None:
        """Note it."""
        record(self.websocket, f"disconnected {int(code)} {reason!r}")


@typed_api.websocket("/chat/{room_id}")
class Chat(Noting):
    """A chat room."""

    async def on_connect(
        self, websocket: WebSocket, room_id: int, user: Annotated[str, Depends(current_user)]
    ) -> None:
        """Come in."""
        self.websocket, self.user, self.room_id = websocket, user, room_id
        record(websocket, f"connected {room_id} {user}")

    async def on_say(self, message: Say) -> Said | None:
        """Answer what is said; nothing to an empty text."""
        return Said(message.text * message.times, self.user) if message.text else None

    async def on_leave(self, message: Leave, websocket: WebSocket) -> None:
        """Close."""
        await websocket.close(4001, f"left {self.room_id}")

    async def on_other(self, message: dict[str, Any]) -> dict[str, Any]:
        """Fail as the message wants, or return it."""
        match message:
            case {"fail": "error"}:
                raise KeyError("secret")
            case {"fail": "exception"}:
                raise WebSocketException(4005, "enough")
            case {"wait": True}:
                record(self.websocket, "waits")
                await asyncio.Event().wait()
        return message


@typed_api.websocket("/strict")
class Strict(Noting):
    """Closes for a message that it cannot use."""

    invalid_messages = "close"

    async def on_connect(self, websocket: WebSocket) -> None:
        """Come in."""
        self.websocket = websocket

    async def on_paint(self, message: Paint | Wipe) -> str:
        """Answer."""
        return type(message).__name__


@typed_api.websocket("/echo")
class Echo:
    """Sends back what comes."""

    async def on_raw(self, data: str | bytes) -> str | bytes:
        """Return it."""
        return data


@typed_api.websocket("/text")
class Text:
    """Takes text alone."""

    async def on_text(self, text: str) -> str:
        """Return it."""
        return text


@typed_api.websocket("/refuse/{how}")
class Refuse(Noting):
    """Refuses everybody."""

    async def on_connect(self, websocket: WebSocket, how: str) -> None:
        """Refuse."""
        self.websocket = websocket
        if how == "reject":
            await websocket.reject(404, "gone")
        await websocket.close(4003, "no")
