"""Threads take turns on the database connection of a test.

A statement and its rows are one turn. While a handler is in a transaction of its own (a savepoint, as it is inside of
the test's), no other thread has a turn, so that none of them rolls back what another has done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, ClassVar
from unittest.mock import patch

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, get_connection

__all__ = ["TURN_TIMEOUT", "taking_turns"]

TURN_TIMEOUT = 4.0
"""Seconds that a thread waits for its turn: less than a test waits for an answer, so that this error comes first."""


class _Turns:
    """Who may use the shared connections, now; one for all clients that are open at the same time."""

    current: ClassVar[_Turns | None] = None

    def __init__(self) -> None:
        self.owners: dict[BaseDatabaseWrapper, int] = {}
        self._lock = threading.RLock()
        self._kept: list[Atomic] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn of this thread; it may be inside of another."""
        self._begin()
        try:
            yield
        finally:
            self._lock.release()

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
    ) -> Any:
        """Run a statement and take its rows, as a wrapper of a connection."""
        with self.turn():
            wrapper = context["cursor"]
            if isinstance(wrapper.cursor, _Fetched):
                wrapper.cursor = wrapper.cursor.cursor
            result = execute(sql, params, many, context)
            # SQLite steps through the rows as they are asked for, and allows no savepoint until the last one.
            if context["connection"].vendor == "sqlite" and wrapper.cursor.description:
                wrapper.cursor = _Fetched(wrapper.cursor)
            return result

    def enter(self, atomic: Atomic, connection: BaseDatabaseWrapper) -> None:
        """Begin a transaction, and keep the turn to its end.

        The thread of the test does not keep it: what is in its transaction is what handlers are to see.
        """
        with self.turn():
            _enter(atomic)
            if self.owners[connection] != threading.get_ident():
                self._begin()
                self._kept.append(atomic)

    def exit(self, atomic: Atomic, *error: Any) -> None:
        """End a transaction."""
        with self.turn():
            _exit(atomic, *error)
        if atomic in self._kept:
            self._kept.remove(atomic)
            self._lock.release()

    def _begin(self) -> None:
        if not self._lock.acquire(timeout=TURN_TIMEOUT):
            raise RuntimeError(
                f"Waited {TURN_TIMEOUT:g} s for the database connection of the test, which another thread uses: "
                "does a handler wait for something inside of transaction.atomic()?"
            )


class _Fetched:
    """A cursor whose rows were taken already."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self._rows: Iterator[Any] = iter(cursor.fetchall())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """Return the next rows."""
        return list(islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        """Return the rest."""
        return list(self._rows)


_enter, _exit = Atomic.__enter__, Atomic.__exit__


def _enter_in_turn(atomic: Atomic) -> None:
    turns, connection = _Turns.current, get_connection(atomic.using)
    if turns is None or connection not in turns.owners:
        _enter(atomic)
    else:
        turns.enter(atomic, connection)


def _exit_in_turn(atomic: Atomic, *error: Any) -> None:
    turns, connection = _Turns.current, get_connection(atomic.using)
    if turns is None or connection not in turns.owners:
        _exit(atomic, *error)
    else:
        turns.exit(atomic, *error)


@contextmanager
def taking_turns(shared: dict[BaseDatabaseWrapper, int]) -> Iterator[None]:
    """Have threads take turns on connections that are shared between them.

    Args:
        shared: The connections, each with the thread of the test that it belongs to.
    """
    with ExitStack() as stack:
        if _Turns.current is None:
            stack.enter_context(patch.object(_Turns, "current", _Turns()))
            stack.enter_context(patch.object(Atomic, "__enter__", _enter_in_turn))
            stack.enter_context(patch.object(Atomic, "__exit__", _exit_in_turn))
        turns = _Turns.current
        assert turns is not None
        for connection in shared.keys() - turns.owners.keys():
            turns.owners[connection] = shared[connection]
            stack.callback(turns.owners.pop, connection)
            # Not `execute_wrapper`, which takes away the last one at its end, whosever it is.
            connection.execute_wrappers.append(turns.execute)
            stack.callback(connection.execute_wrappers.remove, turns.execute)
        yield
