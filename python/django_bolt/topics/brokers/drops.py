"""Counts of what was dropped: never silent, never a flood of log lines."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
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
    """Counters by reason, with a log line a second at most for each. For any thread.

    What is counted within the second after a line is told by the next one, which a timer writes.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, as in the child after a fork."""
        self._lock = threading.RLock()  # A signal handler that publishes may interrupt who has it.
        self._counts: dict[str, int] = {}
        self._logged: dict[str, int] = {}
        self._next_line: dict[str, float] = {}
        self._where: dict[str, str] = {}
        self._timers: set[str] = set()

    def add(self, reason: DropReason, where: str, count: int = 1) -> None:
        """Count drops.

        Args:
            reason: Why.
            where: What the log line is to name besides: no payload, no credentials.
            count: How many.
        """
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + count
            self._where[reason] = where
            pause = self._next_line.get(reason, 0.0) - time.monotonic()
            if pause > 0:
                self._log_later(reason, pause)
                return
            line = self._take_line(reason)
        logger.warning(*line)

    def counts(self) -> dict[str, int]:
        """Return how many were dropped, by reason."""
        with self._lock:
            return {str(reason): count for reason, count in self._counts.items()}

    def log_rest(self, *reasons: str) -> None:
        """Log what no line has told yet, of some reasons or of all, as at the end of the process."""
        for reason in reasons or list(self._counts):
            with self._lock:
                self._timers.discard(reason)
                is_told = self._logged.get(reason) == self._counts.get(reason)
                line = None if is_told else self._take_line(reason)
            if line:
                logger.warning(*line)

    def _take_line(self, reason: str) -> tuple[str, str, int, int, str]:
        total = self._counts[reason]
        new = total - self._logged.get(reason, 0)
        self._logged[reason] = total
        self._next_line[reason] = time.monotonic() + LOG_INTERVAL
        return "Dropped publications (%s): %d, in all %d; %s", reason, new, total, self._where[reason]

    def _log_later(self, reason: str, pause: float) -> None:
        if reason in self._timers:
            return
        timer = threading.Timer(pause, call_log_rest, [weakref.ref(self), reason])
        timer.daemon = True
        with contextlib.suppress(RuntimeError):  # no thread can be started: the next drop tells of this one
            timer.start()
            self._timers.add(reason)


def call_log_rest(reference: weakref.ref[Drops], reason: str) -> None:
    """Log what no line has told yet, if somebody still counts."""
    drops = reference()
    if drops is not None:
        drops.log_rest(reason)
