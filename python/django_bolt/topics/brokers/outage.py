"""How long a broker's server was away, and when to try it again."""

from __future__ import annotations

import logging
import random
import threading
import time

__all__ = ["Backoff", "Outage"]

logger = logging.getLogger("django_bolt.topics")


class Backoff:
    """Pauses between attempts: twice as long each time, up to a limit, and each shortened at random.

    All processes lose the server at the same moment; chance keeps them from coming back at the same moment.
    """

    FIRST = 0.05
    LONGEST = 2.0

    def __init__(self) -> None:
        self._next = self.FIRST

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        pause = self._next * random.uniform(0.5, 1.0)
        self._next = min(2 * self._next, self.LONGEST)
        return pause

    def reset(self) -> None:
        """Begin with short pauses again: an attempt succeeded."""
        self._next = self.FIRST


class Outage:
    """Counts and logs the times that a server was away. For any thread.

    Several connections may lose it, one after the other; it is away from the first loss until all are back.

    Args:
        address: Names the server in the log; without credentials.

    Attributes:
        count: Outages so far.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.renew()

    def renew(self) -> None:
        """Begin anew, in the child after a fork."""
        self._lock = threading.Lock()
        self._lost: set[str] = set()
        self._since = 0.0
        self._before = 0.0
        self.count = 0

    def begin(self, connection: str, reason: object) -> None:
        """Note that a connection was lost, or could not be made.

        Args:
            connection: Names it.
            reason: What happened; without credentials.
        """
        with self._lock:
            if connection in self._lost:
                return
            is_first = not self._lost
            self._lost.add(connection)
            if is_first:
                self._since = time.monotonic()
                self.count += 1
        if is_first:
            logger.warning("The broker %s is away (%s): %s", self.address, connection, reason)

    def end(self, connection: str) -> None:
        """Note that a connection works."""
        away = self.forget(connection)
        if away is not None:
            logger.warning("The broker %s is back after %.1f s", self.address, away)

    def forget(self, connection: str) -> float | None:
        """Note that a connection is no longer wanted; returns the seconds away if this ends the outage."""
        with self._lock:
            if connection not in self._lost:
                return None
            self._lost.remove(connection)
            if self._lost:
                return None
            away = time.monotonic() - self._since
            self._before += away
        return away

    @property
    def is_on(self) -> bool:
        """Whether the server is away."""
        return bool(self._lost)

    @property
    def seconds(self) -> float:
        """Seconds away, in all."""
        with self._lock:
            return self._before + (time.monotonic() - self._since if self._lost else 0.0)
