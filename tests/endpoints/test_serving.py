"""The order of what happens before a handler; each step by itself is tested with its module."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, Depends, WebSocket
from django_bolt.auth import AuthResult, BaseAuthentication, BaseGuard
from django_bolt.endpoints.serving import serve
from django_bolt.endpoints.tally import Tally
from tests.memory_connection import MemoryConnection


class Named(BaseAuthentication):
    """Know the client by the query parameter ``name``."""

    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        name = websocket.query_params.get("name")
        return AuthResult(name) if name else None


class NotEve(BaseGuard):
    needs_identity = True

    def has_permission(self, websocket: WebSocket) -> bool:
        return websocket.context.get("user_id") not in (None, "eve")


def make_api(events: list[Any]) -> BoltAPI:
    def depend(page: int) -> None:
        events.append("dependency")

    api = BoltAPI(auth=[Named], guards=[NotEve], dependencies=[Depends(depend)])

    @api.websocket("/")
    async def handler(websocket: WebSocket, size: int = 1) -> None:
        events.append("handler")
        await websocket.accept()

    return api


@override_settings(BOLT={"MAX_CONNECTIONS_PER_USER": 1})
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?page=x", 401),
        ("?name=eve&page=x", 403),
        ("?name=ann&page=x", 429),
        ("?name=ben&page=x", 422),
        ("?name=ben&page=1&size=x", 422),
        ("?name=ben&page=1", None),
    ],
)
async def test_authentication_guards_limit_parameters_dependencies_handler(
    query: str, status: int | None
) -> None:
    events: list[Any] = []
    task = asyncio.current_task()
    assert task is not None
    users = Tally()
    users.count("ann", task)
    websocket = MemoryConnection(f"/{query}")
    await serve(websocket, make_api(events).endpoints[0], users)
    assert (websocket.rejected[0] if websocket.rejected else None) == status
    assert events == ([] if status else ["dependency", "handler"])
    assert websocket.entered
    assert websocket.is_detached


async def test_a_cancellation_is_raised_on() -> None:
    waits = asyncio.Event()
    api = BoltAPI()

    @api.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        waits.set()
        await asyncio.Event().wait()

    websocket = MemoryConnection("/")
    task = asyncio.create_task(serve(websocket, api.endpoints[0], Tally()))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert websocket.failed == (1001, "")
    assert websocket.is_detached
