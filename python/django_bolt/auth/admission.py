"""Who may come in: the authentications and guards of an endpoint, applied to one opening handshake."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from django_bolt.auth.backends import AuthenticationFailed, BaseAuthentication
from django_bolt.auth.guards import BaseGuard
from django_bolt.exceptions import HTTPException

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["admit"]


async def admit(
    websocket: WebSocket, authentications: Sequence[BaseAuthentication], guards: Sequence[BaseGuard]
) -> None:
    """Authenticate the client, then ask each guard.

    The first authentication that knows the client fills ``websocket.context`` with ``user_id``, ``claims``
    and ``backend``. Credentials are not kept.

    Raises:
        HTTPException: 401 with ``WWW-Authenticate`` if authentication fails, or is missing where a guard
            needs it; 403 if a guard says no.
    """
    try:
        await _authenticate(websocket, authentications)
    except AuthenticationFailed as failure:
        raise _unauthorized(failure.detail, authentications) from None
    for guard in guards:
        allowed = guard.has_permission(websocket)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            raise _refusal(websocket, guard, authentications)


async def _authenticate(websocket: WebSocket, authentications: Sequence[BaseAuthentication]) -> None:
    for authentication in authentications:
        result = authentication.authenticate(websocket)
        if inspect.isawaitable(result):
            result = await result
        if result is not None:
            found = {"user_id": result.user_id, "claims": dict(result.claims), "backend": authentication.name}
            websocket.context.update(found)
            return


def _refusal(
    websocket: WebSocket, guard: BaseGuard, authentications: Sequence[BaseAuthentication]
) -> HTTPException:
    anonymous = "backend" not in websocket.context
    if guard.needs_identity and anonymous and authentications:
        return _unauthorized(guard.detail, authentications)
    return HTTPException(HTTPStatus.FORBIDDEN, guard.detail)


def _unauthorized(detail: str, authentications: Sequence[BaseAuthentication]) -> HTTPException:
    challenges = dict.fromkeys(authentication.www_authenticate for authentication in authentications)
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": ", ".join(challenges)})
