"""How many connections each client address or user has."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable
from typing import Any

__all__ = ["Tally"]


class Tally:
    """Counts connections by key, each from its start to the end of its task."""

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()

    def is_full(self, key: Hashable, limit: int | None) -> bool:
        """Return whether a key has as many connections as it may; None is no limit."""
        return limit is not None and self._counts[key] >= limit

    def count(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        """Count a connection of a key until its task ends."""
        self._counts[key] += 1
        task.add_done_callback(lambda _: self._release(key))

    def _release(self, key: Hashable) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
