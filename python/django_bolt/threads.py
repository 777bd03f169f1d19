"""Threads for code that blocks: two bounded pools, one for short jobs and one for handlers.

Django's asynchronous ORM runs its queries by `asgiref.sync.sync_to_async`, in a single thread for all that run on one
loop: a slow query would hold up every connection, and nobody would look after that thread's database connections.
`use_job_threads` sends these calls to the pool.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Token
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from django_bolt.conf import bolt_settings
from django_bolt.thread_pool import NoThreadFree, ThreadPool

__all__ = ["NoThreadFree", "handler_threads", "job_threads", "run_in_thread", "use_job_threads"]

logger = logging.getLogger("django_bolt.threads")

P = ParamSpec("P")
T = TypeVar("T")

job_threads = ThreadPool("django-bolt-job", lambda: bolt_settings().max_threads)
"""For short jobs: ORM calls of coroutines, dependencies, authentications."""
handler_threads = ThreadPool("django-bolt-handler", lambda: bolt_settings().max_sync_handlers, waits=False)
"""For ``def`` handlers, each of which has a thread as long as its connection lasts."""


async def run_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks in a thread of `job_threads`, and return its result.

    It runs in a copy of the current context, whose changes come back. In it the ORM works as in a view, and
    `asgiref.sync.async_to_sync` runs coroutines on this event loop. When all threads are busy, it waits for one.

    Cancelling takes back what has not begun; a function that runs goes on, and what it returns is dropped.

    Raises:
        TypeError: It is a coroutine function.
    """
    if iscoroutinefunction(function):
        raise TypeError("run_in_thread() takes a function that blocks, not a coroutine function")
    # Taken out of a list, and neither raised in the thread nor returned from it: asgiref's frames live as long as the
    # traceback, and hold what they raise or return, so that the exception would be part of a reference cycle, which
    # keeps a connection until the garbage collector comes.
    raised: list[BaseException] = []
    call = SyncToAsync(_attempt, thread_sensitive=False, executor=cast(Any, job_threads))
    value = await call(raised, function, *args, **kwargs)
    if raised:
        raise raised.pop()
    return cast(T, value)


def _attempt(raised: list[BaseException], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        raised.append(error)


_job_context = ThreadSensitiveContext()
"""Stands for `job_threads` in asgiref's table of contexts; it is never entered."""


def use_job_threads() -> Token[Any] | None:
    """Run the thread-sensitive calls of the current context, and of what is started from it, in `job_threads`.

    asgiref has no public way to name an executor for many tasks at once, so this is what ``ThreadSensitiveContext``
    does when it is entered. One context serves all connections: an idle one costs no object of its own.

    Returns:
        What takes it back; None if this version of asgiref is unknown.
    """
    return SyncToAsync.thread_sensitive_context.set(_job_context) if _register() else None


@cache
def _register() -> bool:
    """Put the pool into asgiref's table; returns False, and warns, if there is none."""
    try:
        SyncToAsync.thread_sensitive_context.get(None)
        SyncToAsync.context_to_thread_executor[_job_context] = cast(Any, job_threads)
    except AttributeError:
        logger.warning(
            "This version of asgiref is unknown: ORM calls of coroutines share one thread, one after the other"
        )
        return False
    return True
