"""Subscriptions that were asked for, and are not in force yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Pending"]


@dataclass(eq=False)
class _Waiter:
    names: set[str]
    missing: set[str]
    future: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Pending:
    """Counts the requests under way for each name, and wakes those who wait for the answers.

    Thousands may wait at once, as when all clients come back after a restart: each answer is a matter of those who wait
    for its name.
    """

    def __init__(self) -> None:
        self._requests: dict[str, int] = {}
        self._waiters: dict[str, set[_Waiter]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._requests

    def add(self, name: str) -> None:
        """Note a request."""
        self._requests[name] = self._requests.get(name, 0) + 1

    def confirm(self, name: str) -> None:
        """Note an answer: each request has its own, in order, and only the last one counts."""
        left = self._requests.pop(name, 1) - 1
        if left > 0:
            self._requests[name] = left
        else:
            self.release(name)

    def restart(self, names: Iterable[str]) -> None:
        """Note that names are in force no more, and are requested once more; earlier answers do not come."""
        for name in names:
            self._requests[name] = 1
            for waiter in self._waiters.get(name, ()):
                waiter.missing.add(name)

    def forget(self, name: str) -> None:
        """Note that a name is not wanted, and that no answers come."""
        self._requests.pop(name, None)
        self.release(name)

    def release(self, name: str) -> None:
        """Let nobody wait for a name."""
        for waiter in self._waiters.get(name, ()):
            waiter.missing.discard(name)
            if not waiter.missing and not waiter.future.done():
                waiter.future.set_result(None)

    def names(self) -> list[str]:
        """Return the names that were asked for."""
        return list(self._requests)

    async def wait(self, names: Iterable[str]) -> None:
        """Wait until names, or if there are none all, are in force."""
        given = set(names)
        wanted = given & self._requests.keys() if given else set(self._requests)
        if not wanted:
            return
        waiter = _Waiter(wanted, set(wanted))
        for name in wanted:
            self._waiters.setdefault(name, set()).add(waiter)
        try:
            await waiter.future
        finally:
            self._forget_waiter(waiter)

    def _forget_waiter(self, waiter: _Waiter) -> None:
        for name in waiter.names:
            waiters = self._waiters[name]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[name]
