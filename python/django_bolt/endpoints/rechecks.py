"""Asking guards again, one connection after the other, so that a change for many users is no storm of queries."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Task
from collections.abc import Iterable
from contextlib import suppress

from django_bolt.endpoints.watch import Watch, background_context

__all__ = ["request_rechecks"]

_lock = threading.Lock()
_due: dict[AbstractEventLoop, dict[Watch, None]] = {}
"""What is to be asked again, by event loop; a loop that stands here has a task for it."""
_tasks: set[Task[None]] = set()


def request_rechecks(watches: Iterable[Watch]) -> None:
    """Have connections rechecked soon, each once however often it is requested; from any thread."""
    started: list[AbstractEventLoop] = []
    with _lock:
        for loop in [loop for loop in _due if loop.is_closed()]:
            del _due[loop]
        for watch in watches:
            if watch.guards:
                if watch.loop not in _due:
                    started.append(watch.loop)
                _due.setdefault(watch.loop, {})[watch] = None
    for loop in started:
        with suppress(RuntimeError):  # The loop is closed, and its connections with it.
            loop.call_soon_threadsafe(_start, loop, context=background_context())


def _start(loop: AbstractEventLoop) -> None:
    task = loop.create_task(_run(loop), context=background_context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _run(loop: AbstractEventLoop) -> None:
    try:
        while (watch := _next(loop)) is not None:
            await watch.recheck()
    except BaseException:
        _due.pop(loop, None)  # So that the next request starts anew.
        raise


def _next(loop: AbstractEventLoop) -> Watch | None:
    with _lock:
        due = _due[loop]
        if not due:
            del _due[loop]  # While nobody can add to it.
            return None
        watch = next(iter(due))
        del due[watch]
        return watch
