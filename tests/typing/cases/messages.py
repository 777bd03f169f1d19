"""What is received has the type that was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import msgspec
from pydantic import BaseModel

from django_bolt import InvalidMessage, WebSocket


class Say(msgspec.Struct, tag="say"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


class Model(BaseModel):
    name: str


async def receive(websocket: WebSocket) -> None:
    assert_type(await websocket.receive(), str | bytes)
    assert_type(await websocket.receive_text(), str)
    assert_type(await websocket.receive_bytes(), bytes)
    assert_type(await websocket.receive_json(), Any)
    assert_type(await websocket.receive_json(type=Say), Say)
    assert_type(await websocket.receive_json(type=Point), Point)
    assert_type(await websocket.receive_json(type=Named), Named)
    assert_type(await websocket.receive_json(type=Model), Model)
    assert_type(await websocket.receive_json(type=list[Say]), list[Say])
    assert_type(await websocket.receive_json(type=dict[str, int]), dict[str, int])


async def iterate(websocket: WebSocket) -> None:
    assert_type(websocket.iter_json(type=Say), AsyncIterator[Say])
    async for either in websocket:
        assert_type(either, str | bytes)
    async for text in websocket.iter_text():
        assert_type(text, str)
    async for data in websocket.iter_bytes():
        assert_type(data, bytes)
    async for anything in websocket.iter_json():
        assert_type(anything, Any)
    async for say in websocket.iter_json(type=Say):
        assert_type(say, Say)
    async for points in websocket.iter_json(type=list[Point]):
        assert_type(points, list[Point])


async def unions_are_any_unless_the_variable_is_annotated(websocket: WebSocket) -> None:
    assert_type(await websocket.receive_json(type=Say | Leave), Any)
    received: Say | Leave = await websocket.receive_json(type=Say | Leave)
    assert_type(received, Say | Leave)
    message: Say | Leave
    async for message in websocket.iter_json(type=Say | Leave):
        assert_type(message, Say | Leave)
        match message:
            case Say():
                assert_type(message, Say)
            case Leave():
                assert_type(message, Leave)


async def send(websocket: WebSocket) -> None:
    assert_type(await websocket.send_json({"a": [Say("hi"), Model(name="Ada")]}), None)
    assert_type(await websocket.send("text"), None)
    await websocket.send_text(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await websocket.send_bytes("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    websocket.send_text("not awaited")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


def errors(invalid: InvalidMessage) -> None:
    assert_type(invalid.path, str)
    for error in invalid.errors:
        assert_type(error["reason"], str)
