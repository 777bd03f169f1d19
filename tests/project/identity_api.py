"""Endpoints that ask who the client is, in every way there is."""

from __future__ import annotations

import os
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from django_bolt import BoltAPI, WebSocket
from django_bolt.auth import (
    APIKeyAuthentication,
    AuthenticationFailed,
    AuthResult,
    BaseAuthentication,
    BaseGuard,
    HasPermission,
    IsAuthenticated,
    IsStaff,
    IsSuperuser,
    JWTAuthentication,
    Requires,
    SessionAuthentication,
)
from tests.project.recorder import recorded

API_KEY = "key-of-the-warehouse"

identity_api = BoltAPI(prefix="/identity", guards=[IsAuthenticated])


class ByName(BaseAuthentication):
    """Know a user by ``?name=``: a plain ``def`` that uses the ORM."""

    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        """Look the user up."""
        name = websocket.query_params.get("name")
        if name is None:
            return None
        user = User.objects.filter(username=name).first()
        if user is None:
            raise AuthenticationFailed("Nobody has this name.")
        return AuthResult(user.pk, {"name": name})


class HasOwnName(BaseGuard):
    """A plain ``def`` that uses the ORM."""

    def has_permission(self, websocket: WebSocket) -> bool:
        """Compare with the database."""
        return bool(websocket.user.username == websocket.context["claims"].get("name"))


KEYS = APIKeyAuthentication({API_KEY: {"user_id": "warehouse", "role": "sensor"}}, query_parameter="key")


async def show(websocket: WebSocket) -> None:
    """Tell the client who it is, and stay until it leaves."""
    with recorded(websocket):
        user = await websocket.auser()
        await websocket.accept()
        await websocket.send_json({**describe(websocket), "username": user.get_username()})
        async for message in websocket.iter_text():
            await websocket.send_text(message)


def describe(websocket: WebSocket) -> dict[str, Any]:
    """Return the context, as JSON has it."""
    permissions = websocket.context.get("permissions")
    return {**websocket.context, "permissions": None if permissions is None else sorted(permissions)}


@identity_api.websocket("/session", auth=[SessionAuthentication])
async def session(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket("/key", auth=[KEYS])
async def key(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket("/name", auth=[ByName], guards=[IsAuthenticated & HasOwnName])
async def name(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket("/any", auth=[KEYS, JWTAuthentication, SessionAuthentication, ByName], guards=[])
async def any_of_them(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket(
    "/staff", auth=[SessionAuthentication, JWTAuthentication], guards=[IsStaff | IsSuperuser]
)
async def staff(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket(
    "/permission", auth=[SessionAuthentication, JWTAuthentication], guards=[HasPermission("auth.view_user")]
)
async def permission(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket("/sensor", auth=[KEYS, JWTAuthentication], guards=[Requires("role", "sensor")])
async def sensor(websocket: WebSocket):
    await show(websocket)


@identity_api.websocket("/lazy", auth=[SessionAuthentication, JWTAuthentication])
async def lazy(websocket: WebSocket):
    """Look at the user without having awaited it: in a thread, then on the loop."""
    await websocket.accept()
    if await websocket.receive_text() == "thread":
        await websocket.send_text(await sync_to_async(lambda: websocket.user.username)())
    else:
        await websocket.send_text(websocket.user.username)


@identity_api.websocket("/token", auth=[JWTAuthentication(cookie="jwt")])
async def token(websocket: WebSocket, chosen: str | None = None):
    await websocket.accept(subprotocol=chosen)
    await websocket.send_json({"user_id": websocket.context["user_id"], "offered": websocket.subprotocols})


@identity_api.websocket("/renew", auth=[JWTAuthentication], guards=[~Requires("role", "guest")])
async def renew(websocket: WebSocket):
    """Take each message for a new token."""
    with recorded(websocket):
        await websocket.accept()
        async for message in websocket.iter_json():
            try:
                await websocket.reauthenticate(message)
            except AuthenticationFailed as failure:
                if message == "unhandled":
                    raise
                await websocket.send_json({"failed": failure.detail})
            else:
                await websocket.send_json(websocket.context["claims"])


@identity_api.websocket("/worker", auth=[SessionAuthentication])
async def worker(websocket: WebSocket):
    """Say which process serves the client, and stay until it leaves."""
    await websocket.accept()
    await websocket.send_json(os.getpid())
    await websocket.receive()
