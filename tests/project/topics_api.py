"""Endpoints with topics."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from django_bolt import BoltAPI, WebSocket, apublish, publish

topics_api = BoltAPI(prefix="/ws/topics")


@topics_api.websocket("/room/{room_id}")
async def room(websocket: WebSocket, room_id: str) -> None:
    """Everybody in the room gets what anybody in it says."""
    await websocket.accept()
    async with websocket.subscribe(f"room:{room_id}"):
        await websocket.send_text(f"joined {os.getpid()}")
        async for message in websocket.iter_text():
            await apublish(f"room:{room_id}", message)


@topics_api.websocket("/others/{room_id}")
async def others(websocket: WebSocket, room_id: str) -> None:
    """Everybody else in the room gets what one says."""
    await websocket.accept()
    await websocket.subscribe(f"others:{room_id}")
    await websocket.send_text("joined")
    async for message in websocket:
        published = await apublish(f"others:{room_id}", message, exclude=websocket)
        await websocket.send_json({"receivers": published.receivers, "accepted": published.accepted})


@topics_api.websocket("/orders")
async def orders(websocket: WebSocket) -> None:
    """Orders of every kind, by a pattern, the large ones twice their size."""
    await websocket.accept()
    await websocket.subscribe(patterns=["orders.*"])
    await websocket.subscribe("large", filter=_is_large, transform=_doubled)
    await websocket.send_json(websocket.topics)
    async for command in websocket.iter_json():
        topic, message = command
        if topic == "unsubscribe":
            await websocket.unsubscribe(*message)
            await websocket.send_json(websocket.topics)
        else:
            publish(topic, message)


def _is_large(message: str | bytes) -> bool:
    return bool(msgspec.json.decode(message) > 100)


def _doubled(message: str | bytes) -> dict[str, Any]:
    return {"doubled": 2 * msgspec.json.decode(message)}
