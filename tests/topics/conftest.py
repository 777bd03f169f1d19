"""Fixtures of the tests of topics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_bolt import BoltAPI, WebSocket
from django_bolt.testing import TestClient

api = BoltAPI()


@api.websocket("/ws/{topic}")
async def listen(websocket: WebSocket, topic: str) -> None:
    """Subscribe the client to a topic, and take messages."""
    await websocket.accept()
    await websocket.subscribe(topic)
    await websocket.send_text("subscribed")
    async for _ in websocket:
        pass


@api.websocket("/user/{user_id}")
async def user(websocket: WebSocket, user_id: str) -> None:
    """Be a connection of a user."""
    await websocket.accept()
    hub = websocket._require_hub()
    hub.subscribe(websocket, f"$user:{user_id}")  # type: ignore[arg-type]
    await websocket.send_text("subscribed")
    async for _ in websocket:
        pass


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A client of an API with endpoints to subscribe by."""
    with TestClient(api) as client:
        yield client
