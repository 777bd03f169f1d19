"""This process among those that exchange publications: its identity, its forks and its end."""

from __future__ import annotations

import atexit
import os
import secrets
import weakref
from collections.abc import Callable
from multiprocessing.util import Finalize, register_after_fork
from typing import Any

__all__ = ["call_after_fork", "call_at_exit", "process_id"]


class _Process:
    id = secrets.token_hex(8)
    after_fork: list[weakref.WeakMethod[Callable[[], None]]] = []
    at_exit: list[weakref.WeakMethod[Callable[[], None]]] = []


def process_id() -> str:
    """Return the random name of this process: 16 hexadecimal digits, other ones after a fork."""
    return _Process.id


def call_after_fork(method: Callable[[], None]) -> None:
    """Call a bound method in each child that this process forks, as long as its object lives.

    Threads do not survive a fork, locks that they held stay locked, and a connection that two processes write to
    is garbage to its reader.
    """
    _Process.after_fork = [entry for entry in _Process.after_fork if entry() is not None]
    _Process.after_fork.append(weakref.WeakMethod(method))


def call_at_exit(method: Callable[[], None]) -> None:
    """Call a bound method once when the process ends properly, if its object lives then; daemon threads still run.

    Exit handlers that were registered after the import of this module have run by then: they may publish.
    """
    _Process.at_exit = [entry for entry in _Process.at_exit if entry() is not None]
    _Process.at_exit.append(weakref.WeakMethod(method))


def _call(reference: weakref.WeakMethod[Callable[[], None]]) -> None:
    method = reference()
    if method is not None:
        method()


def _renew() -> None:
    _Process.id = secrets.token_hex(8)
    for reference in _Process.after_fork:
        _call(reference)


def _end() -> None:
    references, _Process.at_exit = _Process.at_exit, []
    for reference in references:
        _call(reference)


def _end_with_multiprocessing(*arguments: Any) -> None:
    Finalize(None, _end, exitpriority=0)


os.register_at_fork(after_in_child=_renew)
atexit.register(_end)
# The children that multiprocessing forks end by `os._exit`, without a look at atexit. They begin by forgetting the
# finalizers of their parent.
_end_with_multiprocessing()
register_after_fork(_Process, _end_with_multiprocessing)
