"""Counts of what was dropped: never silent, never a flood of log lines."""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum

__all__ = ["DropReason", "Drops"]

logger = logging.getLogger("django_bolt.topics")

LOG_INTERVAL = 1.0
"""Seconds between two log lines of one reason."""


class DropReason(StrEnum):
    """Why a publication, or what came instead of one, was dropped."""

    QUEUE_FULL = "queue_full"  # the bound on what waits was reached
    SLOW_PROCESS = "slow_process"  # one receiving process does not keep up; others got it
    UNAVAILABLE = "unavailable"  # the broker's server was away
    UNCONFIRMED = "unconfirmed"  # the connection broke before the server's answer: it may have been delivered
    INVALID = "invalid"  # what came from another process is not a publication
    TOO_LARGE = "too_large"  # what came from another process exceeds MAX_PUBLICATION_SIZE


class Drops:
    """Counters by reason, with a log line a second at most for each. For any thread."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, as in the child after a fork."""
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._logged: dict[str, tuple[int, float]] = {}

    def add(self, reason: DropReason, where: str, count: int = 1) -> None:
        """Count drops.

        Args:
            reason: Why.
            where: What the log line is to name besides: no payload, no credentials.
            count: How many.
        """
        now = time.monotonic()
        with self._lock:
            total = self._counts[reason] = self._counts.get(reason, 0) + count
            before, at = self._logged.get(reason, (0, -LOG_INTERVAL))
            if now - at < LOG_INTERVAL:
                return
            self._logged[reason] = (total, now)
        logger.warning("Dropped publications (%s): %d, in all %d; %s", reason, total - before, total, where)

    def counts(self) -> dict[str, int]:
        """Return how many were dropped, by reason."""
        with self._lock:
            return {str(reason): count for reason, count in self._counts.items()}
