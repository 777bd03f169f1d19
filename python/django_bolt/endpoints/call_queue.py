"""Calls from threads to the event loop, in the order in which they were made."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

__all__ = ["MAX_CALLS", "MAX_SIZE", "CallQueue"]

logger = logging.getLogger("django_bolt.endpoint")

MAX_CALLS = 1024
"""Calls that may wait for the loop; a thread that makes more waits until the loop has done them."""
MAX_SIZE = 4_194_304
"""Bytes likewise."""
POLL_TIME = 1.0
"""Seconds between two looks whether the loop that is waited for still lives."""


class _Call(NamedTuple):
    function: Callable[..., object]
    arguments: tuple[Any, ...]


class CallQueue:
    """What threads have the event loop do; the loop is woken once for many calls.

    Made on the loop's own thread, by `of`.
    """

    _queues: WeakKeyDictionary[asyncio.AbstractEventLoop, CallQueue] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # It is the key to this queue.
        self._thread = threading.get_ident()
        self._calls: list[_Call] = []
        self._size = 0
        self._emptied = threading.Condition()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> CallQueue:
        """Return the queue of the running loop."""
        queue = cls._queues.get(loop)
        if queue is None:
            queue = cls._queues[loop] = cls(loop)
        return queue

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller runs on the loop's thread, which must not wait for itself."""
        return threading.get_ident() == self._thread

    @property
    def is_closed(self) -> bool:
        """Whether the loop has ended, so that nothing will be done."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    def post(self, function: Callable[..., object], *arguments: Any, size: int = 0) -> None:
        """Have the loop call a function, outside of any task and of any context.

        Waits only where the loop is far behind. On a loop that has ended it does nothing.

        Args:
            function: What to call; an exception is logged.
            arguments: Its arguments.
            size: Bytes that the call holds.
        """
        with self._emptied:
            is_first = not self._calls
            self._calls.append(_Call(function, arguments))
            self._size += size
            if is_first and not self._wake():
                self._take()
            while (len(self._calls) > MAX_CALLS or self._size > MAX_SIZE) and not self.is_closed:
                self._emptied.wait(POLL_TIME)

    def _wake(self) -> bool:
        loop = self._loop()
        try:
            if loop is not None:
                # A context of its own: that of the caller would make it pass for the connection's own handler.
                loop.call_soon_threadsafe(self._run, context=Context())
        except RuntimeError:  # The loop is closed.
            return False
        return loop is not None

    def _take(self) -> list[_Call]:
        calls, self._calls, self._size = self._calls, [], 0
        self._emptied.notify_all()
        return calls

    def _run(self) -> None:
        with self._emptied:
            calls = self._take()
        for call in calls:
            try:
                call.function(*call.arguments)
            except Exception:
                logger.exception("A call from a thread failed")
