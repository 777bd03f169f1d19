"""Handlers see what a test has in its transaction: they use the test's own database connections.

Django's ``TestCase`` and the fixture ``db`` of pytest-django keep the data of a test in a transaction that nobody else
sees. As long as a client of this package is open, the threads in which handlers and their ORM calls run are lent the
connection of the test, wherever it is in a transaction (or is a database in memory, which others could not use well).

Threads take turns on it; see `django_bolt.testing.turns`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_bolt.database import lend_connections
from django_bolt.testing.turns import taking_turns
from django_bolt.threads import handler_threads, job_threads, use_job_threads

__all__ = ["ashare_connections", "share_connections"]

RETIRE_TIMEOUT = 1.0
"""Seconds in which an idle thread must have closed its connections."""


@contextmanager
def share_connections() -> Iterator[None]:
    """Lend the connections of the calling thread to handlers, wherever the test is in a transaction on them.

    At the end, connections that handlers have opened for themselves are closed, since the test runner is about to
    drop the database.
    """
    with _lending([_own_connections()]):
        yield


@asynccontextmanager
async def ashare_connections() -> AsyncIterator[None]:
    """Do the same in a coroutine.

    Django runs an ``async def`` test in another thread than the ``setUp`` that began the transaction, and calls what
    is thread-sensitive in that one; other runners stay in one thread. Both are asked. The ORM calls of the test itself
    go where those of handlers go, so that they see the transaction too.
    """
    with _outside_of_the_loop():
        here = _own_connections()
    there = await sync_to_async(_own_connections)()
    token = use_job_threads()
    try:
        with _lending([there, here]) as shared, _shown(_find_lent(shared)):
            yield
    finally:
        if token is not None:
            with suppress(ValueError):  # A fixture may end in another context than it began in.
                token.var.reset(token)


@contextmanager
def _shown(lent: Mapping[str, BaseDatabaseWrapper]) -> Iterator[None]:
    """Show connections to the running coroutine, for which Django would keep others.

    It cannot query by them, but `captureOnCommitCallbacks` looks there for what waits for the commit.
    """
    for alias, connection in lent.items():
        connections[alias] = connection
    try:
        yield
    finally:
        for alias in lent:
            with suppress(AttributeError):  # A fixture may end in another context than it began in.
                del connections[alias]


@contextmanager
def _outside_of_the_loop() -> Iterator[None]:
    """Have Django show the thread's connections, not those that it keeps for the running coroutine."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def _own_connections() -> _Owned:
    return _Owned(threading.get_ident(), [connections[alias] for alias in connections])


@dataclass(frozen=True)
class _Owned:
    """Connections, and the thread that they belong to."""

    thread: int
    connections: Sequence[BaseDatabaseWrapper]


@contextmanager
def _lending(owners: Sequence[_Owned]) -> Iterator[dict[BaseDatabaseWrapper, int]]:
    shared = {connection: owned.thread for owned in owners for connection in owned.connections}
    with ExitStack() as stack:
        for connection in shared:
            connection.inc_thread_sharing()
            stack.callback(connection.dec_thread_sharing)
        stack.enter_context(taking_turns(shared))
        stack.enter_context(lend_connections(lambda: _find_lent(shared)))
        yield shared
    for threads in (job_threads, handler_threads):
        threads.retire(RETIRE_TIMEOUT)


def _find_lent(shared: dict[BaseDatabaseWrapper, int]) -> dict[str, BaseDatabaseWrapper]:
    """Return what a job that begins now must use, by alias: of two connections that in which a transaction is."""
    lent: dict[str, BaseDatabaseWrapper] = {}
    for connection in shared:
        if connection.in_atomic_block or (connection.alias not in lent and _is_in_memory(connection)):
            lent[connection.alias] = connection
    return lent


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())
