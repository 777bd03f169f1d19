from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from django_bolt import BoltAPI, WebSocket, WebSocketDisconnect, WrongState
from django_bolt.auth import (
    AuthenticationFailed,
    AuthResult,
    BaseAuthentication,
    BaseGuard,
    HasPermission,
    Requires,
)
from tests.endpoints.watched import identified
from tests.memory_connection import MemoryConnection

OLD = {"role": "editor", "age": "old"}


class ByToken(BaseAuthentication):
    """Take the result itself for a token."""

    async def reauthenticate(self, websocket: WebSocket, token: Any) -> AuthResult:
        if isinstance(token, Exception):
            raise token
        return token() if callable(token) else token  # type: ignore[no-any-return]


async def handler(websocket: WebSocket) -> None:
    """Do nothing."""


def connected(*guards: BaseGuard, authentication: Any = ByToken, **fields: Any) -> MemoryConnection:
    """Return a connection to an endpoint with guards."""
    api = BoltAPI(guards=guards)
    api.websocket("/ws")(handler)
    websocket = identified(authentication(), claims=OLD, expires_at=100.0, **fields)
    websocket.bind(api.endpoints[0], {})
    return websocket


def state_of(websocket: WebSocket) -> Any:
    assert websocket.identity is not None
    return (dict(websocket.context), websocket.identity.expires_at, websocket.identity.permissions)


async def test_new_credentials_take_the_place_of_the_old() -> None:
    websocket = connected(user_id=7)
    user = User(pk=7, username="ann")
    await websocket.reauthenticate(AuthResult("7", {"age": "new"}, ["a.b"], 200.0, user=user))
    assert websocket.context == {
        "user_id": 7,
        "claims": {"age": "new"},
        "permissions": {"a.b"},
        "backend": "ByToken",
    }
    assert state_of(websocket)[1:] == (200.0, {"a.b"})
    assert websocket.user is user


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        (AuthenticationFailed("Expired."), "Expired."),
        (AuthResult(8, OLD), "The token is another user's."),
        (AuthResult(None, OLD), "The token is another user's."),
        (AuthResult(7, {"role": "reader"}, ["chat.post"]), "Permission denied."),
        (AuthResult(7, {"role": "editor"}, ["other"]), "Permission denied."),
    ],
)
async def test_what_does_not_suffice_changes_nothing(token: Any, detail: str) -> None:
    guards = Requires("role", "editor") & HasPermission("chat.post")
    websocket = connected(guards, permissions=["chat.post"])
    before = state_of(websocket)
    with pytest.raises(AuthenticationFailed) as raised:
        await websocket.reauthenticate(token)
    assert raised.value.detail == detail
    assert state_of(websocket) == before


@override_settings(BOLT={"GUARDS": [Requires("role", "editor")]})
async def test_guards_of_the_settings_are_asked_too() -> None:
    api = BoltAPI()
    api.websocket("/ws")(handler)
    websocket = identified(ByToken(), claims=OLD)
    websocket.bind(api.endpoints[0], {})
    with pytest.raises(AuthenticationFailed):
        await websocket.reauthenticate(AuthResult(7, {"role": "reader"}))


async def test_a_guard_that_fails_or_is_cancelled_changes_nothing() -> None:
    class Hangs(BaseGuard):
        async def has_permission(self, websocket: WebSocket) -> bool:
            await asyncio.Event().wait()
            return True

    websocket = connected(Hangs())
    before = state_of(websocket)
    task = asyncio.create_task(websocket.reauthenticate(AuthResult(7, {"age": "new"})))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert state_of(websocket) == before


async def test_a_connection_that_has_ended_is_not_renewed() -> None:
    websocket = connected()

    def leave() -> AuthResult:
        websocket.leave()
        return AuthResult(7, expires_at=200.0)

    with pytest.raises(WebSocketDisconnect):
        await websocket.reauthenticate(leave)
    assert state_of(websocket)[1] == 100.0


async def test_a_client_that_nobody_knows_has_nothing_to_renew() -> None:
    with pytest.raises(WrongState, match="AUTHENTICATED"):
        await MemoryConnection().reauthenticate("token")


async def test_an_authentication_without_tokens_says_so() -> None:
    with pytest.raises(NotImplementedError, match="BaseAuthentication does not define reauthenticate"):
        await connected(authentication=BaseAuthentication).reauthenticate("token")
