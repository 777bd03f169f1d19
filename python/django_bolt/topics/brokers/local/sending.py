"""Sending to the serving processes of the project: from any thread, never held up by a slow one for long."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers.drops import DropReason, Drops
from django_bolt.topics.brokers.local.directory import RuntimeDirectory
from django_bolt.topics.brokers.local.flushing import Flusher
from django_bolt.topics.brokers.local.peer import Peer, PeerState

__all__ = ["Sender"]

logger = logging.getLogger("django_bolt.topics")


class Sender:
    """Writes frames to every serving process but its own.

    What a socket does not take at once waits in the peer's outbox, up to ``BROKER_QUEUE_LIMIT``; a thread writes
    it when the peer reads again. A peer that has taken nothing for ``BROKER_TIMEOUT`` is stalled: nobody waits
    for it until it has caught up, and what its outbox has no room for is dropped.

    A signal handler that publishes may interrupt a thread that is sending. Its frame then waits until that one is sent.

    Args:
        directory: Where the processes are found.
        settings: Bounds.
        drops: Counts what a peer does not get.

    Attributes:
        own_name: Name of this process's own socket, if it has one.
    """

    def __init__(self, directory: RuntimeDirectory, settings: BoltSettings, drops: Drops) -> None:
        self.own_name = ""
        self._directory = directory
        self._queue_limit = settings.broker_queue_limit
        self._timeout = settings.broker_timeout
        self._drops = drops
        self._peers: dict[str, Peer] = {}
        self._flusher: Flusher | None = None
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._late: deque[bytes] = deque()
        self._is_busy = False

    def renew(self) -> None:
        """Begin anew in the child after a fork: connections are the parent's, and its threads are not here."""
        self._begin()
        if self._flusher is not None:
            self._flusher.close()
            self._flusher = None
        for peer in self._peers.values():
            peer.close()
        self._peers = {}
        self._directory.forget()
        self.own_name = ""

    def send_soon(self, frame: bytes) -> list[Peer]:
        """Send a frame without waiting.

        Returns:
            The peers that are worth waiting for.

        Raises:
            BrokerUnavailable: The directory cannot be used, or no connection be made. Others may have got it.
        """
        with self._changed:
            self._late.append(frame)
            return self._send_late()

    def queue(self, frame: bytes) -> None:
        """Queue a frame for the next `write`, so that many frames are written at once.

        Raises:
            BrokerUnavailable: The directory cannot be used.
        """
        with self._changed:
            if self._is_busy:
                self._late.append(frame)
                return
            self._is_busy = True
            try:
                self._refresh()
                for peer in self._peers.values():
                    if self._take_room(peer, len(frame)):
                        peer.queue(frame)
            finally:
                self._is_busy = False

    def write(self) -> None:
        """Write what is queued, as far as it is taken at once."""
        with self._changed:
            if self._is_busy:
                return
            self._is_busy = True
            try:
                for peer in self._blocked():
                    self._flush(peer)
                self._remove_ended()
                if self._blocked():
                    self._keep_flushing()
            finally:
                self._is_busy = False
            self._send_late()

    def send(self, frame: bytes) -> None:
        """Send a frame, and wait until the processes have taken it, for ``BROKER_TIMEOUT`` at most."""
        with self._changed:
            if self._is_busy:
                self._late.append(frame)
                return
            self._wait(self._peers.values(), lambda peer: self._has_room(peer, len(frame)))
            self.wait(self.send_soon(frame))

    def is_alone(self) -> bool:
        """Whether there is no process to send to.

        Raises:
            BrokerUnavailable: The directory cannot be used.
        """
        with self._changed:
            if self._peers or self._is_busy:
                return False
            self._refresh()
            return not self._peers

    def has_room(self, size: int) -> bool:
        """Whether every process that is worth waiting for has room for a frame."""
        with self._changed:
            return all(self._has_room(peer, size) or is_lost(peer) for peer in self._peers.values())

    def wait(self, peers: Iterable[Peer]) -> None:
        """Wait until each peer has taken what waits now; whoever has not when the time is over is stalled."""
        with self._changed:
            marks = {peer: peer.pushed for peer in peers}
            self._wait(marks, lambda peer: peer.flushed >= marks[peer])

    def flush(self) -> None:
        """Wait until everything is taken, for ``BROKER_TIMEOUT`` at most."""
        with self._changed:
            self.write()
            self.wait(self._blocked())

    def end(self) -> None:
        """Do as `flush` does where the process ends, and count what was not taken."""
        self.flush()
        self.close()
        self._drops.log_rest()

    def close(self) -> None:
        """End the connections, and count what waits. Sending again makes new ones."""
        with self._changed:
            for peer in self._blocked():
                self._drops.add(DropReason.SLOW_PROCESS, describe(peer), peer.pushed - peer.flushed)
            for peer in self._peers.values():
                peer.close()
            self._peers = {}
            self._directory.forget()
            if self._flusher is not None:
                self._flusher.end()
                self._flusher = None

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        with self._changed:
            return sum(peer.queued for peer in self._peers.values())

    def _send_late(self) -> list[Peer]:
        blocked: list[Peer] = []
        while self._late and not self._is_busy:
            self._is_busy = True
            try:
                if self._late:  # still: a signal handler may have been quicker
                    blocked = self._send_now(self._late.popleft())
            finally:
                self._is_busy = False
        return [peer for peer in blocked if peer.state is PeerState.READY]

    def _send_now(self, frame: bytes) -> list[Peer]:
        self._refresh()
        errors = [error for peer in self._peers.values() if (error := self._push(peer, frame))]
        self._remove_ended()
        blocked = self._blocked()
        if blocked:
            self._keep_flushing()
        if errors:
            raise self._directory.unavailable(errors[0].strerror or str(errors[0])) from errors[0]
        return blocked

    def _blocked(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.is_blocked]

    def _has_room(self, peer: Peer, size: int) -> bool:
        # An empty outbox takes any frame: a limit below the size of one must not stop everything.
        return not peer.queued or peer.queued + size <= self._queue_limit

    def _take_room(self, peer: Peer, size: int) -> bool:
        if self._has_room(peer, size):
            return True
        self._drops.add(DropReason.SLOW_PROCESS, describe(peer))
        return False

    def _refresh(self) -> None:
        names = self._directory.list_if_changed()
        if names is None:
            return
        for name in self._peers.keys() - set(names):
            self._peers.pop(name).close()
        for name in names:
            if name != self.own_name and name not in self._peers:
                self._peers[name] = Peer(self._directory.path / name)

    def _push(self, peer: Peer, frame: bytes) -> OSError | None:
        if not self._take_room(peer, len(frame)):
            return None
        flushed = peer.flushed
        try:
            peer.push(frame)
        except OSError as error:
            self._drops.add(DropReason.UNAVAILABLE, describe(peer), peer.pushed - flushed)
            peer.close()
            return error
        self._count_refused(peer, flushed)
        return None

    def _flush(self, peer: Peer) -> None:
        """Write what a peer takes now; in the thread."""
        flushed = peer.flushed
        try:
            peer.flush()
        except OSError as error:  # such as too many open files; to be tried again
            logger.debug("No connection to %s: %s", describe(peer), error)
        self._count_refused(peer, flushed)

    def _count_refused(self, peer: Peer, flushed: int) -> None:
        if peer.state is PeerState.REFUSING:
            self._drops.add(DropReason.UNCONFIRMED, describe(peer), peer.flushed - flushed)

    def _remove_ended(self) -> None:
        for name, peer in list(self._peers.items()):
            if is_lost(peer):
                del self._peers[name]
                self._directory.forget()

    def _keep_flushing(self) -> None:
        try:
            if self._flusher is None or self._flusher.has_ended:
                self._flusher = Flusher(self._changed, self._blocked, self._flush)
            self._flusher.wake()
        # No descriptor or no thread is left; the next frame tries again.
        except (OSError, RuntimeError) as error:
            logger.warning("Nothing writes what waits for slow processes: %s", error)

    def _wait(self, peers: Iterable[Peer], is_done: Callable[[Peer], bool]) -> None:
        waiting = [peer for peer in peers if peer.state is PeerState.READY]

        def is_over() -> bool:
            return all(is_done(peer) or peer.state is not PeerState.READY for peer in waiting)

        if not self._changed.wait_for(is_over, self._timeout):
            for peer in waiting:
                if not is_done(peer):
                    peer.state = PeerState.STALLED
                    logger.warning("%s takes no publications; it may miss some", describe(peer))


def is_lost(peer: Peer) -> bool:
    """Whether a peer gets nothing any more."""
    return peer.state in (PeerState.GONE, PeerState.REFUSING)


def describe(peer: Peer) -> str:
    """Name a peer for a log."""
    return f"the process that listens on {peer.path}"
