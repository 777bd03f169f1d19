"""Who may come in: the authentications and guards of an endpoint, applied to one opening handshake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.calls import call
from django_bolt.auth.guards import BaseGuard
from django_bolt.auth.identity import Identity
from django_bolt.exceptions import HTTPException

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["admit", "find_refusing"]


async def admit(
    websocket: WebSocket,
    authentications: Sequence[BaseAuthentication],
    guards: Sequence[BaseGuard],
    identified: Callable[[WebSocket], None] | None = None,
) -> None:
    """Authenticate the client, then ask each guard.

    The first authentication that knows the client fills ``websocket.context`` with ``user_id``, ``claims``,
    ``permissions`` and ``backend``. Credentials are not kept.

    Args:
        websocket: The connection.
        authentications: Tried in their order.
        guards: Asked in their order.
        identified: Called between the two, if the client is known.

    Raises:
        HTTPException: 401 with ``WWW-Authenticate`` if authentication fails, or is missing where a guard
            needs it; 403 if a guard says no.
    """
    try:
        await _authenticate(websocket, authentications)
    except AuthenticationFailed as failure:
        raise _unauthorized(failure.detail, authentications) from None
    if identified is not None and websocket.identity is not None:
        identified(websocket)
    refusing = await find_refusing(websocket, guards)
    if refusing is not None:
        raise _refusal(websocket, refusing, authentications)


async def find_refusing(websocket: WebSocket, guards: Iterable[BaseGuard]) -> BaseGuard | None:
    """Return the first guard that refuses the client; None if all agree."""
    for guard in guards:
        refusing = await guard.refusing(websocket)
        if refusing is not None:
            return refusing
    return None


async def _authenticate(websocket: WebSocket, authentications: Sequence[BaseAuthentication]) -> None:
    """Ask one after the other; what one finds wrong, only another with the same challenge may find right.

    So tokens of two issuers, each with keys of its own, go with two authentications.
    """
    # The text alone: an exception that this frame holds, and whose traceback holds this frame, would be a cycle.
    failed: tuple[str, str] | None = None
    for authentication in authentications:
        if failed is not None and authentication.www_authenticate != failed[0]:
            continue
        try:
            result: AuthResult | None = await call(authentication.authenticate, websocket)
        except AuthenticationFailed as error:
            failed = failed or (authentication.www_authenticate, error.detail)
        else:
            if result is not None:
                websocket.identify(Identity(authentication, result), dict(result.claims))
                return
    if failed is not None:
        raise AuthenticationFailed(failed[1])


def _refusal(
    websocket: WebSocket, guard: BaseGuard, authentications: Sequence[BaseAuthentication]
) -> HTTPException:
    if guard.needs_identity and websocket.identity is None and authentications:
        return _unauthorized(guard.detail, authentications)
    return HTTPException(HTTPStatus.FORBIDDEN, guard.detail)


def _unauthorized(detail: str, authentications: Sequence[BaseAuthentication]) -> HTTPException:
    challenges = dict.fromkeys(authentication.www_authenticate for authentication in authentications)
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": ", ".join(challenges)})
