"""A method of a class endpoint as it is called: a plain ``def`` runs in a thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from django_bolt.endpoints.parameters.signatures import (
    Argument,
    UnsuitableError,
    read_signature,
    require_keyword,
)
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.threads import run_in_thread

__all__ = ["Method", "awaited", "read_method", "runs_in_thread"]

Method = Callable[..., Coroutine[Any, Any, Any]]


def runs_in_thread(function: Any) -> bool:
    """Tell whether a method is a plain ``def``.

    Raises:
        UnsuitableError: It is no method, or a generator.
    """
    if not inspect.isfunction(function):
        raise UnsuitableError("it must be a method that takes self, 'async def' or 'def'")
    # What a decorator returns may be a plain function, whose result is to be awaited all the same.
    forms = (function, inspect.unwrap(function))
    if any(inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form) for form in forms):
        raise UnsuitableError("it must return its answer, and cannot be a generator")
    return not any(map(inspect.iscoroutinefunction, forms))


def awaited(function: Any) -> Method:
    """Return what calls a method, with the instance first, and is awaited; raises as `runs_in_thread`."""
    return partial(run_in_thread, function) if runs_in_thread(function) else function


def read_method(function: Any) -> tuple[Argument | None, list[Argument]]:
    """Read the signature of a method without its ``self``.

    Returns:
        The parameter that takes the connection, and all others.

    Raises:
        UnsuitableError: The annotations do not resolve, or nothing can fill a parameter.
    """
    arguments = read_signature(function, skip_first=True)
    for argument in arguments:
        require_keyword(argument)
    connections = [argument for argument in arguments if _is_websocket(argument.hint)]
    if len(connections) > 1:
        raise UnsuitableError(f"more than one parameter is annotated WebSocket: {connections[1].name!r}")
    connection = connections[0] if connections else None
    if connection is not None and runs_in_thread(function):
        raise UnsuitableError(
            "a 'def' runs in a thread, where it cannot use the WebSocket; write 'async def'"
        )
    return connection, [argument for argument in arguments if argument is not connection]


def _is_websocket(hint: Any) -> bool:
    """Tell whether an annotation is that of a connection."""
    return isinstance(hint, type) and issubclass(hint, WebSocket)
