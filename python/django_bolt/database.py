"""Database connections in threads that no request begins and ends.

Django closes what it no longer wants when a request begins and when it ends. A WebSocket has neither, so
`release_connections` is called when a thread turns to another handler's work, and when it has waited for more of the
same for `LINGER_TIME`: the queries that answer one message share a connection, and an idle handler holds none.

A test whose data is in a transaction lends its connections to these threads, by `lend_connections`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = [
    "LINGER_TIME",
    "Lender",
    "close_connections",
    "lend_connections",
    "manage_connections",
    "release_broken_connections",
    "release_connections",
]

logger = logging.getLogger("django_bolt.database")

LINGER_TIME = 0.5
"""Seconds for which a thread waits for more work of the same handler before it releases its connections."""
MAX_LINGER_TIME = 60.0
"""Seconds after which a connection that ``CONN_MAX_AGE`` would have closed is closed though its handler goes on."""

Lender = Callable[[], Mapping[str, BaseDatabaseWrapper]]
"""Returns the connections to lend to a job that begins, by their aliases."""

_lenders: list[Lender] = []


@contextmanager
def lend_connections(lender: Lender) -> Iterator[None]:
    """Lend connections to the jobs of all threads that begin meanwhile; they are shared between threads by then."""
    _lenders.append(lender)
    try:
        yield
    finally:
        _lenders.remove(lender)


@contextmanager
def manage_connections() -> Iterator[None]:
    """Surround a job of this thread: use what is lent, and roll back a transaction that the job leaves open."""
    borrowed = {alias: lent for lender in _lenders for alias, lent in lender().items()}
    own = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for alias, lent in borrowed.items():
        connections[alias] = lent
    try:
        yield
    finally:
        _end_transactions()
        for alias in borrowed:
            del connections[alias]
            if alias in own:
                connections[alias] = own[alias]


def _own_connections() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread that are its alone: what is borrowed is looked after by its owner."""
    used = connections.all(initialized_only=True)
    return [connection for connection in used if not connection.allow_thread_sharing]


def release_connections() -> None:
    """Do what Django does around a request: close this thread's connections that are broken or past ``CONN_MAX_AGE``.

    One that is kept is checked before its next query. Inside of a transaction nothing is done.
    """
    for connection in _own_connections():
        _release(connection)


def release_broken_connections() -> None:
    """Release connections on which a query has failed, or that have lingered for `MAX_LINGER_TIME`."""
    now = time.monotonic()
    for connection in _own_connections():
        lasts_until = math.inf if connection.close_at is None else connection.close_at + MAX_LINGER_TIME
        if connection.errors_occurred or now >= lasts_until:
            _release(connection)


def _release(connection: Any) -> None:  # the type stubs lack some attributes
    if connection.connection is None or connection.in_atomic_block:
        return
    # Also where CONN_HEALTH_CHECKS is off: a request that meets a dead connection is one failure, a handler is many.
    connection.health_check_enabled = True
    connection.queries_log.clear()
    try:
        connection.close_if_unusable_or_obsolete()
    except Exception:
        logger.exception(
            "The connection to database %r could not be closed, and is dropped", connection.alias
        )
        del connections[connection.alias]
        _close(connection)


def close_connections() -> None:
    """Close all database connections of this thread, which ends."""
    for connection in _own_connections():
        _close(connection)


def _close(connection: Any) -> None:
    """Close a connection that is not used again, whatever state it is in."""
    with suppress(Exception):
        connection.close()
    # Django never closes a database in memory; Python 3.13 warns of that.
    if connection.connection is not None:
        with suppress(Exception):
            connection.connection.close()


def _end_transactions() -> None:
    """Roll back what a job has left open: the thread's next job must not run inside of it."""
    for connection in _own_connections():
        if connection.in_atomic_block:
            logger.error(
                "A transaction on database %r was left open by a call in a thread, and is rolled back: "
                "begin and end it in one call",
                connection.alias,
            )
            del connections[connection.alias]  # First: what cannot be closed must not be used again.
            _close(connection)
