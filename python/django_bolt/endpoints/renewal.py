"""Renewing what a connection rests on, while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_bolt.auth.admission import find_refusing
from django_bolt.auth.backends import AuthResult
from django_bolt.auth.defaults import default_guards
from django_bolt.auth.identity import Identity
from django_bolt.exceptions import AuthenticationFailed, WebSocketDisconnect, WrongState

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["renew"]

CLOSED = 2


async def renew(websocket: WebSocket, token: Any) -> None:
    """Do what `WebSocket.reauthenticate` says."""
    identity = websocket.identity
    if identity is None:
        raise WrongState("reauthenticate()", "AUTHENTICATED", "ANONYMOUS")
    result = await identity.authentication.reauthenticate(websocket, token)
    _require_open(websocket)
    if not identity.is_same_user(result):
        raise AuthenticationFailed("The token is another user's.")
    await _ask_guards(websocket, identity, result)
    _require_open(websocket)
    identity.take(result)


async def _ask_guards(websocket: WebSocket, identity: Identity, result: AuthResult) -> None:
    """Show the guards what the new credentials say; what the old ones said is put back if one refuses."""
    context, guards = websocket.context, websocket.endpoint.guards
    before = context.get("claims"), identity.permissions, context.get("permissions")
    identity.permissions = None if result.permissions is None else frozenset(result.permissions)
    context["claims"] = dict(result.claims)
    context["permissions"] = identity.granted if identity.permissions is None else identity.permissions
    try:
        refusing = await find_refusing(websocket, default_guards() if guards is None else guards)
        if refusing is not None:
            raise AuthenticationFailed(refusing.detail)
    except BaseException:
        context["claims"], identity.permissions, context["permissions"] = before
        raise


def _require_open(websocket: WebSocket) -> None:
    if websocket.ready_state == CLOSED:
        raise WebSocketDisconnect(websocket.close_code or 1006, websocket.close_reason)
