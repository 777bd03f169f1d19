"""What keeps one authenticated connection true to what let it in."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from asyncio import AbstractEventLoop, Task, TimerHandle
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

from django_bolt.auth.admission import find_refusing
from django_bolt.auth.guards import BaseGuard
from django_bolt.auth.identity import Identity
from django_bolt.close_codes import AUTHENTICATION_ENDED, PERMISSION_LOST, CloseCode
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.threads import run_in_thread, use_job_threads

__all__ = ["Watch", "background_context"]

logger = logging.getLogger("django_bolt.auth")

LONGEST_TIMER = 24 * 3600.0
"""Seconds after which the clock is looked at again: a timer counts time that passes, an expiry is a time of day."""

_tasks: set[Task[None]] = set()
"""Keeps the tasks alive that nobody awaits."""


class Watch:
    """Closes a connection when its token or session expires, or when it is told to.

    It does not keep the connection alive. Made on the connection's event loop.

    Args:
        websocket: The connection, whose client is known.
        identity: Who the client is.
        guards: What let it in, of which those are asked again that follow the user.
    """

    __slots__ = ("__weakref__", "_loop", "_timer", "_websocket", "guards", "identity")

    def __init__(self, websocket: WebSocket, identity: Identity, guards: Sequence[BaseGuard]) -> None:
        self.identity = identity
        self.guards = tuple(guards) if any(guard.follows_user for guard in guards) else ()
        self._websocket = weakref.ref(websocket)
        self._loop = asyncio.get_running_loop()
        self._timer: TimerHandle | None = None

    @property
    def websocket(self) -> WebSocket | None:
        """The connection, unless it has ended."""
        websocket = self._websocket()
        return None if websocket is None or websocket.state is WebSocketState.DISCONNECTED else websocket

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop of the connection."""
        return self._loop

    def begin(self) -> None:
        """Begin to watch the expiry; renewing the identity winds the clock up again."""
        self.identity.on_renewal = self._wind
        self._wind()

    def end(self) -> None:
        """Stop watching."""
        self.identity.on_renewal = None
        self._stop_timer()

    def close(self, code: int, reason: str) -> None:
        """Close the connection; may be called from any thread, and does not wait."""
        with suppress(RuntimeError):  # The loop is closed, and its connections with it.
            self._loop.call_soon_threadsafe(self._close, code, reason, context=background_context())

    async def recheck(self) -> None:
        """Load the user anew, ask the guards that follow it again, and close with 4403 if one refuses.

        Cancelling it leaves the connection as it was.
        """
        websocket = self.websocket
        if websocket is None or not self.guards:
            return
        try:
            await run_in_thread(self.identity.reload_user)
            refusing = await find_refusing(websocket, (guard for guard in self.guards if guard.follows_user))
        except Exception as error:
            self._give_up("asking its guards again", error)
            return
        if refusing is not None:
            self._close(PERMISSION_LOST, "permission lost")
        elif self.identity.permissions is None:
            websocket.context["permissions"] = self.identity.granted

    def _wind(self) -> None:
        self._stop_timer()
        expires_at = self.identity.expires_at
        if expires_at is not None and bolt_settings().close_on_expiry:
            left = expires_at - time.time()
            delay = min(left, LONGEST_TIMER) if left > 0 else 0.0  # what is no number has expired, too
            self._timer = self._loop.call_later(delay, self._look_at_clock, context=background_context())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_clock(self) -> None:
        if time.time() < (self.identity.expires_at or 0.0):
            self._wind()
        else:
            self._start(self._expire())

    async def _expire(self) -> None:
        """Close, unless the authentication finds that the client may stay."""
        websocket, identity = self.websocket, self.identity
        if websocket is None:
            return
        expired_at = identity.expires_at
        try:
            result = await identity.authentication.renew(websocket)
        except Exception as error:
            self._give_up("renewing it", error)
            return
        if identity.expires_at is not expired_at:
            return  # The client has brought new credentials meanwhile.
        if result is not None and identity.is_same_user(result) and _is_to_come(result.expires_at):
            identity.take(result)
        else:
            self._close(AUTHENTICATION_ENDED, identity.authentication.expiry_reason)

    def _give_up(self, attempt: str, error: Exception) -> None:
        """Close because nobody knows whether the client may stay; it may come back and be authenticated."""
        websocket = self._websocket()
        number = websocket and websocket.id
        logger.error("Connection %s is closed, because %s failed", number, attempt, exc_info=error)
        self._close(CloseCode.TRY_AGAIN_LATER, "authentication unavailable")

    def _close(self, code: int, reason: str) -> None:
        websocket = self.websocket
        if websocket is not None:
            logger.info("Connection %s: closed with %d: %s", websocket.id, code, reason)
            self._start(_close(websocket, code, reason))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine, context=background_context())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


def _is_to_come(expires_at: float | None) -> bool:
    return expires_at is None or expires_at > time.time()


def background_context() -> Context:
    """Return a context for what is nobody's handler.

    Not that of the caller: it may be one of a request, or of another connection's handler.
    """
    context = Context()
    context.run(use_job_threads)
    return context


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with suppress(WebSocketDisconnect):
        await websocket.close(code, reason)
