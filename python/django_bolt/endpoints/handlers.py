"""What a handler may be, brought to the one form that is served: a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from django_bolt.endpoints.class_endpoints import adapt_class
from django_bolt.endpoints.parameters import ParameterPlan, locate
from django_bolt.endpoints.sync_handlers import adapt_function, is_plain_function
from django_bolt.endpoints.sync_websocket import SyncWebSocket
from django_bolt.exceptions import InvalidHandler

__all__ = ["AdaptedHandler", "Handler", "adapt_handler", "connection_first"]

Handler = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class AdaptedHandler:
    """A handler as it is served, and the function of the user whose signature says what it takes.

    Attributes:
        call: What is called. If it is the user's function itself, the connection goes where that takes it. If
            `skip_first`, it is called with the connection first, by position, and again by its name among the
            arguments if the user's function takes it.
        signature: The user's function.
        skip_first: Whether the first parameter of that function is no argument, as ``self`` of a method that is
            not bound.
    """

    call: Callable[..., Any]
    signature: Callable[..., Any]
    skip_first: bool = False


def adapt_handler(handler: Any) -> AdaptedHandler:
    """Bring what stands under ``@api.websocket`` to one form.

    Raises:
        InvalidHandler: It cannot serve connections.
    """
    # Before Python 3.12 a callable object or a functools.partial has no place and name to show in messages,
    # so only functions and methods are taken.
    if (inspect.isfunction(handler) or inspect.ismethod(handler)) and _is_coroutine_function(handler):
        _refuse_sync_websocket(handler)
        return AdaptedHandler(handler, handler)
    if is_plain_function(handler):
        return AdaptedHandler(adapt_function(handler), handler)
    if inspect.isclass(handler):
        serve, on_connect = adapt_class(handler)
        return AdaptedHandler(serve, on_connect, skip_first=True)
    raise InvalidHandler(
        f"{locate(handler)}: the handler must be an 'async def' function, a 'def' function or a class"
    )


def _is_coroutine_function(handler: Any) -> bool:
    """Return whether what a handler returns is to be awaited, though a decorator may have made it a plain function."""
    return any(map(inspect.iscoroutinefunction, (handler, inspect.unwrap(handler))))


def _refuse_sync_websocket(handler: Any) -> None:
    """Say at once what would fail at the first call: what a coroutine is given does not block."""
    for name, hint in inspect.get_annotations(inspect.unwrap(handler)).items():
        if hint is SyncWebSocket or (isinstance(hint, str) and hint.rpartition(".")[2] == "SyncWebSocket"):
            raise InvalidHandler(
                f"{locate(handler)}: parameter {name!r} of an 'async def' handler is a WebSocket, "
                "not a SyncWebSocket, which 'def' handlers get"
            )


def connection_first(adapted: AdaptedHandler, plan: ParameterPlan) -> Handler:
    """Return what is called with the connection first, and with all other arguments by name."""
    name, call = plan.handler.websocket, adapted.call
    if name is None:
        return call
    if adapted.skip_first:
        return lambda websocket, /, **arguments: call(websocket, **{name: websocket}, **arguments)
    return lambda websocket, /, **arguments: call(**{name: websocket}, **arguments)
