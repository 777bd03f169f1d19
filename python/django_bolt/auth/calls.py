"""Where the methods of authentications and guards run: on the event loop, or in a thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from django_bolt.threads import run_in_thread

__all__ = ["call", "never_blocks"]

F = TypeVar("F", bound=Callable[..., Any])


def never_blocks(function: F) -> F:
    """Mark a plain ``def`` of an authentication or a guard that waits for nothing.

    It then runs on the event loop, and spares the way to a thread and back. The mark belongs to the function:
    one that overrides it in a subclass runs in a thread again, unless it is marked itself.
    """
    function.never_blocks = True  # type: ignore[attr-defined]
    return function


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of either kind: ``async def`` on the loop, a plain ``def`` in a thread.

    Cancelling it does not end a function that runs in a thread: its result is dropped.
    """
    if getattr(function, "never_blocks", False) or inspect.iscoroutinefunction(function):
        result = function(*arguments)
    else:
        result = await run_in_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else result
