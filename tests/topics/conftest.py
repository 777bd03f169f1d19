"""Fixtures of the tests of topics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_bolt import BoltAPI, WebSocket
from django_bolt.auth import AuthResult, BaseAuthentication
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


class PathAuthentication(BaseAuthentication):
    """Believe the path."""

    def authenticate(self, websocket: WebSocket) -> AuthResult:
        """Return the user whom the path names."""
        return AuthResult(websocket.path_params["user_id"], {})


@api.websocket("/user/{user_id}", auth=[PathAuthentication])
async def user(websocket: WebSocket, user_id: str) -> None:
    """Be a connection of a user."""
    await websocket.accept()
    await websocket.send_json(websocket.topics)
    async for _ in websocket:
        pass


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A client of an API with endpoints to subscribe by."""
    with TestClient(api) as client:
        yield client
