"""Synchronous functions of the user's, run in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

__all__ = ["run_in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread, in the context of the caller, and return its result.

    Cancelling it does not stop the function.
    """
    return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)
