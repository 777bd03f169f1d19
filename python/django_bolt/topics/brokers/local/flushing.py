"""A thread that writes what waits for processes that read slowly."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from django_bolt.topics.brokers.local.peer import Peer

__all__ = ["Flusher"]

RETRY = 0.05
"""Seconds between attempts to connect to a process that does not accept."""
LINGER = 1.0
"""Seconds that the thread waits for work before it ends."""


class Flusher:
    """Runs a thread while something waits, so that sending needs no event loop.

    Args:
        changed: Guards the peers; notified whenever something was written.
        blocked: Returns the peers for which something waits.
        flush: Writes what one of them takes.

    Attributes:
        has_ended: Whether there was no work for some time; then another one is needed.
    """

    def __init__(
        self,
        changed: threading.Condition,
        blocked: Callable[[], list[Peer]],
        flush: Callable[[Peer], None],
    ) -> None:
        self._changed = changed
        self._blocked = blocked
        self._flush = flush
        self.has_ended = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="django_bolt-local", daemon=True)
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._wake_receiver.setblocking(False)

    def wake(self) -> None:
        """See to it that the thread runs and knows all blocked peers. With the lock held."""
        if self.has_ended:
            return
        if not self._thread.ident:
            self._thread.start()
        self._changed.notify_all()
        with contextlib.suppress(BlockingIOError):
            self._wake_sender.send(b"\0")

    def end(self) -> None:
        """Let the thread end when nothing waits any more. With the lock held."""
        self._is_ending = True
        self.wake()

    def close(self) -> None:
        """Let go of the descriptors, in a process that the thread does not run in."""
        self._wake_receiver.close()
        self._wake_sender.close()

    def _run(self) -> None:
        while self._has_work():
            self._poll()
            with self._changed:
                for peer in self._blocked():
                    self._flush(peer)
                self._changed.notify_all()

    def _has_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._blocked() or self._is_ending, LINGER)
            if self._blocked():
                return True
            self.has_ended = True
            self.close()
            return False

    def _poll(self) -> None:
        """Wait until a peer may take something, or another one is blocked."""
        poller = select.poll()
        poller.register(self._wake_receiver, select.POLLIN)
        with self._changed:
            descriptors = [peer.fileno() for peer in self._blocked()]
        for descriptor in descriptors:
            if descriptor >= 0:
                poller.register(descriptor, select.POLLOUT)
        poller.poll(RETRY * 1000 if -1 in descriptors else None)
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)
