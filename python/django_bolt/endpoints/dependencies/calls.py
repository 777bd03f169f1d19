"""How each kind of dependency is called, and what is left to do for it when the connection has ended."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, NamedTuple

from django_bolt.threads import run_in_thread

__all__ = ["Cleanup", "Runner", "runner_of", "yields"]

Leave = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Awaitable[Any]]


class Cleanup(NamedTuple):
    """The rest of a generator.

    Attributes:
        call: The generator function, for the log.
        leave: Runs the rest of it, as ``__aexit__`` does.
    """

    call: Callable[..., Any]
    leave: Leave


Runner = Callable[[dict[str, Any], list[Cleanup]], Awaitable[Any]]


def runner_of(call: Callable[..., Any]) -> Runner:
    """Return how to run a dependency: given its arguments and a list for its clean-up, it returns the value."""
    function = _function_of(call)
    if inspect.isasyncgenfunction(function):
        return functools.partial(_enter, asynccontextmanager(call), call)
    if inspect.isgeneratorfunction(function):
        return functools.partial(_enter_in_thread, contextmanager(call), call)
    if inspect.iscoroutinefunction(function):
        return functools.partial(_await, call)
    return functools.partial(_call_in_thread, call)


def yields(call: Callable[..., Any]) -> bool:
    """Whether a dependency is a generator, which has a rest to run."""
    function = _function_of(call)
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def _function_of(call: Any) -> Any:
    if isinstance(call, functools.partial):
        return _function_of(call.func)
    if inspect.isroutine(call) or inspect.isclass(call):
        return call
    return call.__call__


async def _await(call: Callable[..., Any], arguments: dict[str, Any], cleanups: list[Cleanup]) -> Any:
    return await call(**arguments)


async def _call_in_thread(
    call: Callable[..., Any], arguments: dict[str, Any], cleanups: list[Cleanup]
) -> Any:
    value = await run_in_thread(call, **arguments)
    # A plain function that returns a coroutine: a decorator around an async one, or a lambda.
    return await value if inspect.isawaitable(value) else value


async def _enter(
    manage: Callable[..., Any], call: Callable[..., Any], arguments: dict[str, Any], cleanups: list[Cleanup]
) -> Any:
    manager = manage(**arguments)
    value = await manager.__aenter__()
    cleanups.append(Cleanup(call, manager.__aexit__))
    return value


async def _enter_in_thread(
    manage: Callable[..., Any], call: Callable[..., Any], arguments: dict[str, Any], cleanups: list[Cleanup]
) -> Any:
    manager = _ThreadedManager(manage(**arguments))
    # Before it is entered: when this is cancelled, the thread goes on, and what it has begun must be ended.
    cleanups.append(Cleanup(call, manager.leave))
    return await run_in_thread(manager.enter)


class _ThreadedManager:
    """A context manager whose two halves run in threads, one after the other whatever is cancelled."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager
        self._lock = threading.Lock()
        self._is_entered = False
        self._is_left = False

    def enter(self) -> Any:
        with self._lock:
            if self._is_left:  # Cancelled before a thread was free.
                return None
            value = self._manager.__enter__()
            self._is_entered = True
            return value

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await run_in_thread(self._leave, kind, error, traceback)

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_left = True
            if self._is_entered:
                self._manager.__exit__(kind, error, traceback)
