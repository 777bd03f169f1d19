"""How a connection ends when its handler does: the table *What happens when* of the documentation.

Text that goes to the client never contains the text of an exception, other than of those made for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404

from django_bolt.close_codes import AUTHENTICATION_ENDED, CloseCode
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import (
    AuthenticationFailed,
    HTTPException,
    InvalidMessage,
    InvalidParameters,
    InvalidTopic,
    TooManySubscriptions,
    UnsupportedData,
    WebSocketDisconnect,
    WebSocketException,
)

if TYPE_CHECKING:
    from django_bolt.endpoints.endpoint import Endpoint

__all__ = [
    "close_of",
    "conclude",
    "conclude_exception",
    "error_observers",
    "log_refusal",
    "refuse",
    "show_observers",
]

logger = logging.getLogger("django_bolt.endpoint")
handshake_logger = logging.getLogger("django_bolt.handshake")

error_observers: list[Callable[[WebSocket, BaseException], None]] = []
"""Called with each error of a handler, or of a clean-up after it, that is logged, before its client is told of the end.

They must not raise.
"""

# What a Django view may raise has the meaning that it has there.
_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (Http404, HTTPStatus.NOT_FOUND),
    (PermissionDenied, HTTPStatus.FORBIDDEN),
    (SuspiciousOperation, HTTPStatus.BAD_REQUEST),
    (InvalidTopic, HTTPStatus.BAD_REQUEST),
    (TooManySubscriptions, HTTPStatus.BAD_REQUEST),
)
_REASONS: tuple[tuple[type[Exception], int, str], ...] = (
    (AuthenticationFailed, AUTHENTICATION_ENDED, "authentication failed"),
    (UnsupportedData, CloseCode.UNSUPPORTED_DATA, "unsupported data"),
    (InvalidMessage, CloseCode.INVALID_FRAME_PAYLOAD_DATA, "invalid message"),
    # Names of topics are made of what clients send, as of path parameters.
    (InvalidTopic, CloseCode.POLICY_VIOLATION, "invalid topic"),
    (TooManySubscriptions, CloseCode.POLICY_VIOLATION, "too many subscriptions"),
)
_FAULTS = tuple(kind for kind, _, _ in _REASONS)


async def refuse(
    websocket: WebSocket, status: int, detail: Any, headers: dict[str, str] | None = None, **more: Any
) -> None:
    """Answer the opening handshake with a JSON body, unless it was answered or the client is gone."""
    if websocket.state is not WebSocketState.CONNECTING:
        return
    with suppress(WebSocketDisconnect):
        await websocket.reject(status, {"detail": detail, **more}, headers)


def show_observers(websocket: WebSocket, error: BaseException) -> None:
    """Show an error to `error_observers`."""
    for observe in tuple(error_observers):
        observe(websocket, error)


def log_refusal(websocket: WebSocket, status: int, cause: str) -> None:
    """Log an opening handshake that is refused: a browser tells its page nothing of it."""
    handshake_logger.warning("Connection %s: %d %s: %s", websocket.id, status, websocket.path, cause)


def close_of(error: BaseException) -> tuple[int, str]:
    """Return code and reason of the Close frame that answers an exception of a handler after `accept`."""
    cause = _strip_disconnects(error)
    if cause is None:
        return CloseCode.NORMAL_CLOSURE, ""
    if isinstance(cause, WebSocketException):
        return cause.code, cause.reason
    if isinstance(cause, asyncio.CancelledError):
        return CloseCode.GOING_AWAY, ""
    for kind, code, reason in _REASONS:
        if isinstance(cause, kind):
            return code, reason
    return CloseCode.INTERNAL_ERROR, ""


async def conclude(websocket: WebSocket) -> None:
    """End a connection whose handler has returned."""
    if websocket.state is WebSocketState.CONNECTING:
        await refuse(websocket, HTTPStatus.FORBIDDEN, "The connection was not accepted.")
    else:
        await _close(websocket, CloseCode.NORMAL_CLOSURE)


async def conclude_exception(websocket: WebSocket, endpoint: Endpoint, error: BaseException) -> bool:
    """End a connection whose handler has raised.

    Returns:
        Whether that settles it; a cancellation, or the end of the process, must be raised on.
    """
    cause = _strip_disconnects(error)
    match cause:
        case None:
            await conclude(websocket)
        case WebSocketException():
            await _close(websocket, cause.code, cause.reason)
        case Exception() if isinstance(cause, _FAULTS) and websocket.state is not WebSocketState.CONNECTING:
            _fail_for_peer(websocket, endpoint, cause)
        case asyncio.CancelledError():
            await _conclude_cancelled(websocket)
            return False
        case Exception():
            await _conclude_error(websocket, endpoint, cause, error)
        case _:
            return False
    return True


def _strip_disconnects(error: BaseException) -> BaseException | None:
    """Return what is left of an exception when the client's leaving is taken out of it.

    The tasks of a TaskGroup raise as a group: with the client gone they all raise WebSocketDisconnect, which
    is as normal as one. A single other exception in the group is taken for itself.
    """
    if isinstance(error, WebSocketDisconnect):
        return None
    if not isinstance(error, BaseExceptionGroup):
        return error
    rest = error.split(WebSocketDisconnect)[1]
    while isinstance(rest, BaseExceptionGroup) and len(rest.exceptions) == 1:
        rest = rest.exceptions[0]
    return rest


async def _conclude_error(
    websocket: WebSocket, endpoint: Endpoint, cause: Exception, error: BaseException
) -> None:
    """Answer an error: by an HTTP response before `accept`, by Close 1011 without detail after."""
    answer = _http_answer(cause)
    if websocket.state is WebSocketState.CONNECTED:
        _log(websocket, endpoint, error)
        websocket.fail(CloseCode.INTERNAL_ERROR)
        return
    if answer is None:
        _log(websocket, endpoint, error)
        answer = _plain(HTTPStatus.INTERNAL_SERVER_ERROR)
    else:
        log_refusal(websocket, answer[0], _summary(cause, answer[0]))
    status, detail, headers, more = answer
    await refuse(websocket, status, detail, headers, **more)


def _summary(cause: Exception, status: int) -> str:
    """Say why in a word; what a handler tells its client may be meant for it alone."""
    return str(cause) if isinstance(cause, InvalidParameters) else responses.get(status, "")


_Answer = tuple[int, Any, dict[str, str], dict[str, Any]]


def _http_answer(cause: Exception) -> _Answer | None:
    """Return status, detail, header fields and further members of the body; None for an unforeseen error."""
    if isinstance(cause, HTTPException):
        return cause.status_code, cause.detail, cause.headers, {}
    if isinstance(cause, InvalidParameters):
        return HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid parameters.", {}, {"errors": cause.errors}
    for kind, status in _STATUSES:
        if isinstance(cause, kind):
            return _plain(status)
    return None


def _plain(status: HTTPStatus) -> _Answer:
    return status, status.phrase, {}, {}


async def _close(websocket: WebSocket, code: int, reason: str = "") -> None:
    if websocket.state is WebSocketState.DISCONNECTED:
        return
    with suppress(WebSocketDisconnect):
        await websocket.close(code, reason)


def _fail_for_peer(websocket: WebSocket, endpoint: Endpoint, cause: Exception) -> None:
    """Close for something that the client sent and that is wrong; what it was stays out of the log."""
    for kind, code, reason in _REASONS:
        if isinstance(cause, kind) and websocket.state is WebSocketState.CONNECTED:
            logger.info(
                "Connection %s: %s: %s, closed with %d", websocket.id, endpoint.location, reason, code
            )
            websocket.fail(code, reason)


async def _conclude_cancelled(websocket: WebSocket) -> None:
    """End a connection whose task was cancelled while it was open: the process is going away."""
    if websocket.state is WebSocketState.CONNECTING:
        await refuse(websocket, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE.phrase)
    elif websocket.state is WebSocketState.CONNECTED:
        websocket.fail(CloseCode.GOING_AWAY)


def _log(websocket: WebSocket, endpoint: Endpoint, error: BaseException) -> None:
    show_observers(websocket, error)
    client = websocket.client
    logger.error(
        "Connection %s from %s: %s raised at %s",
        websocket.id,
        f"{client[0]}:{client[1]}" if client else "an unnamed socket",
        endpoint.location,
        websocket.path,
        exc_info=error,
        extra={"connection_id": websocket.id, "path": websocket.path, "client": client},
    )
