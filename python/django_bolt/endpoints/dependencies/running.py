"""The dependencies of one connection: run before its handler, cleaned up after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from django_bolt.endpoints.dependencies.calls import Cleanup
from django_bolt.endpoints.outcome import show_observers
from django_bolt.endpoints.parameters.signatures import locate
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import HTTPException, WebSocketDisconnect, WebSocketException

if TYPE_CHECKING:
    from django_bolt.endpoints.parameters.plan import ParameterPlan

__all__ = ["resolve", "run_with_cleanup"]

logger = logging.getLogger("django_bolt.endpoint")


async def resolve(
    plan: ParameterPlan, websocket: WebSocket, gathered: list[dict[str, Any]], cleanups: list[Cleanup]
) -> dict[str, Any]:
    """Run the dependencies in their order.

    Args:
        plan: What to run.
        websocket: The connection.
        gathered: Arguments from the request: those of each dependency, and last those of the handler.
        cleanups: Takes what is to be done at the end.

    Returns:
        The handler's arguments.
    """
    results: list[Any] = []
    for dependency, arguments in zip(plan.dependencies, gathered, strict=False):
        dependency.arguments.fill(arguments, results)
        if dependency.arguments.websocket is not None:
            arguments[dependency.arguments.websocket] = websocket
        results.append(await dependency.run(arguments, cleanups))
    plan.handler.fill(gathered[-1], results)
    return gathered[-1]


async def run_with_cleanup(
    plan: ParameterPlan,
    websocket: WebSocket,
    gathered: list[dict[str, Any]],
    handler: Callable[..., Coroutine[Any, Any, Any]],
) -> None:
    """Run dependencies, the handler, and, whatever has ended it, the rests of the generators.

    Each generator is thrown what the handler raised. That stays the outcome, even if a generator catches it; but
    an HTTPException, before `accept`, or a WebSocketException that a generator raises takes its place.
    Anything else that a generator raises is logged.
    """
    cleanups: list[Cleanup] = []
    outcome: BaseException | None = None
    try:
        running = handler(websocket, **await resolve(plan, websocket, gathered, cleanups))
        del gathered  # This frame waits as long as the connection is open.
        websocket.release_request()
        await running
    except GeneratorExit:  # The loop is gone; nothing can be awaited any more.
        raise
    except BaseException as error:
        outcome = error
    # Not in the except clause: what is handled while a thread is asked for, asgiref raises in that thread again, and
    # the frames there, which hold it, would become part of its traceback: a reference cycle.
    outcome = await _clean_up(websocket, cleanups, outcome)
    try:
        if outcome is not None:
            raise outcome
    finally:
        del outcome  # This frame is in its traceback.


async def _clean_up(
    websocket: WebSocket, cleanups: list[Cleanup], outcome: BaseException | None
) -> BaseException | None:
    """Run the rests of the generators, last begun first, and return how the connection ends after all."""
    try:
        while cleanups:
            outcome = await _leave(websocket, cleanups.pop(), outcome)
        return outcome
    finally:
        del outcome  # Frames in its traceback hold this one.


async def _leave(
    websocket: WebSocket, cleanup: Cleanup, outcome: BaseException | None
) -> BaseException | None:
    traceback = outcome.__traceback__ if outcome else None
    try:
        await cleanup.leave(type(outcome) if outcome else None, outcome, traceback)
    except GeneratorExit:
        raise
    except BaseException as raised:
        if raised is not outcome:
            if _decides(websocket, raised):
                return raised
            _log(websocket, cleanup, raised)
    finally:
        if outcome:  # Frames through which it was thrown into the generator hold it.
            outcome.__traceback__ = traceback
    return outcome


def _decides(websocket: WebSocket, raised: BaseException) -> bool:
    """Whether what a clean-up has raised is how the connection ends."""
    if isinstance(raised, HTTPException):
        return websocket.state is WebSocketState.CONNECTING
    return isinstance(raised, WebSocketException | asyncio.CancelledError) or not isinstance(
        raised, Exception
    )


def _log(websocket: WebSocket, cleanup: Cleanup, raised: BaseException) -> None:
    if isinstance(raised, WebSocketDisconnect):  # It sent something, and the client is gone.
        return
    show_observers(websocket, raised)
    logger.error(
        "Connection %s: clean-up of %s raised",
        websocket.id,
        locate(cleanup.call),
        exc_info=raised,
        extra={"connection_id": websocket.id, "path": websocket.path},
    )
