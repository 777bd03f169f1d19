"""Handlers that are a plain ``def``: each runs in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, cast

from asgiref.sync import SyncToAsync

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.outcome import log_refusal, refuse
from django_bolt.endpoints.refusals import RETRY
from django_bolt.endpoints.sync_websocket import SyncWebSocket
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.threads import NoThreadFree, handler_threads

__all__ = ["adapt_function", "is_plain_function"]

logger = logging.getLogger("django_bolt.endpoint")


def is_plain_function(handler: Any) -> bool:
    """Return whether a handler is a ``def`` that returns when it has ended, neither coroutine nor generator."""
    if not (inspect.isfunction(handler) or inspect.ismethod(handler)):
        return False
    others = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    # Looked at behind decorators, too: what they return tells nothing of what is to be done with its result.
    return not any(is_other(form) for is_other in others for form in (handler, inspect.unwrap(handler)))


def adapt_function(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a coroutine function that runs a plain function in a thread, with a `SyncWebSocket` for the `WebSocket`.

    When no thread is free, the opening handshake is answered with 503.

    Args:
        function: The handler.
    """

    @wraps(function)
    async def run(*arguments: Any, **named: Any) -> None:
        websocket = next(value for value in (*arguments, *named.values()) if isinstance(value, WebSocket))
        face = SyncWebSocket(websocket)
        arguments = tuple(face if value is websocket else value for value in arguments)
        named = {name: face if value is websocket else value for name, value in named.items()}
        await _serve(face, _Handler(face, partial(function, *arguments, **named)))

    return run


class _Handler:
    """One run of a handler.

    Its exception is returned, not raised, from the thread: on the way through asgiref's coroutines it would become
    part of a reference cycle, which keeps the connection until the garbage collector comes.
    """

    def __init__(self, websocket: SyncWebSocket, call: Callable[[], object]) -> None:
        self._websocket = websocket
        self._call = call
        self.has_ended = False
        self.is_abandoned = False

    def __call__(self) -> BaseException | None:
        try:
            _refuse_coroutine(self._call())
        except BaseException as error:
            if self.is_abandoned and not isinstance(error, WebSocketDisconnect):
                logger.exception("Connection %s: %s raised after it was given up", *self._place)
            return error
        finally:
            self.has_ended = True
        return None

    def abandon(self) -> None:
        """Go on without a thread that does not end: nothing can end it from outside."""
        self.is_abandoned = True
        if not self.has_ended:
            logger.warning("Connection %s: %s is given up, but still runs in its thread", *self._place)

    @property
    def _place(self) -> tuple[int, str]:
        return self._websocket.id, self._websocket.endpoint.location


def _refuse_coroutine(result: object) -> None:
    """Raise instead of dropping what was to be awaited: a handler that seems to run and does nothing."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"a 'def' handler returned the coroutine {result.__qualname__}(); make it 'async def'"
        )


async def _serve(websocket: SyncWebSocket, handler: _Handler) -> None:
    websocket.enter_handler()
    # Through asgiref, so that `async_to_sync` in the handler finds this loop.
    run = SyncToAsync(handler, thread_sensitive=False, executor=cast(Any, handler_threads))
    try:
        error = await run()
    except NoThreadFree:
        await _refuse(websocket.asynchronous)
        return
    except asyncio.CancelledError:
        handler.abandon()
        raise
    finally:
        websocket.give_up()
    try:
        if error is not None:
            raise error
    finally:
        del error  # Its traceback holds this frame.


async def _refuse(websocket: WebSocket) -> None:
    status, limit = HTTPStatus.SERVICE_UNAVAILABLE, bolt_settings().max_sync_handlers
    log_refusal(websocket, status, f"BOLT['MAX_SYNC_HANDLERS'] is {limit}, and as many handlers run")
    await refuse(websocket, status, status.phrase, dict(RETRY))
