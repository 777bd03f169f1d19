"""This process among those that exchange publications: its identity, its forks and its end."""

from __future__ import annotations

import atexit
import os
import secrets
import weakref
from collections.abc import Callable
from functools import partial

__all__ = ["call_after_fork", "call_at_exit", "process_id"]


class _Process:
    id = secrets.token_hex(8)
    after_fork: list[weakref.WeakMethod[Callable[[], None]]] = []


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
    """Call a bound method when the interpreter ends, if its object lives then; daemon threads still run."""
    callback = partial(_call, weakref.WeakMethod(method))
    atexit.register(callback)
    # At the end itself it would unregister what has not been called yet.
    weakref.finalize(method.__self__, atexit.unregister, callback).atexit = False  # type: ignore[attr-defined]


def _call(reference: weakref.WeakMethod[Callable[[], None]]) -> None:
    method = reference()
    if method is not None:
        method()


def _renew() -> None:
    _Process.id = secrets.token_hex(8)
    for reference in _Process.after_fork:
        _call(reference)


os.register_at_fork(after_in_child=_renew)
