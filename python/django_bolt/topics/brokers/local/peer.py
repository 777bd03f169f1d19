"""A serving process as those see it that send to it."""

from __future__ import annotations

import socket
from collections import deque
from enum import Enum
from itertools import islice
from pathlib import Path

from django_bolt.topics.brokers.local.sockets import is_own_peer, remove

__all__ = ["Peer", "PeerState"]

BATCH = 64
"""Frames written by one system call."""
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""A peer that has ended must not end a program that has SIGPIPE do so, as those in pipelines have."""


class PeerState(Enum):
    """Whether a peer is there, and takes what it gets."""

    READY = "ready"
    STALLED = "stalled"  # it took nothing for BROKER_TIMEOUT: nobody waits for it until it has caught up
    GONE = "gone"  # it has ended
    REFUSING = "refusing"  # it accepts connections and ends them


class Peer:
    """The sending half of a connection to one process, and what waits for it. Not for several threads.

    Args:
        path: Where it listens.

    Attributes:
        queued: Bytes that wait.
        pushed: Frames taken over, so far.
        flushed: Frames that the kernel has taken, or that went down with the peer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = PeerState.READY
        self.queued = 0
        self.pushed = 0
        self.flushed = 0
        self._is_full = False
        self._socket: socket.socket | None = None
        self._outbox: deque[bytes | memoryview] = deque()

    @property
    def is_blocked(self) -> bool:
        """Whether something waits."""
        return bool(self._outbox)

    def fileno(self) -> int:
        """Return the descriptor; -1 while not connected."""
        return self._socket.fileno() if self._socket else -1

    def queue(self, frame: bytes) -> None:
        """Take over a frame, to be written by the next `flush`."""
        self._outbox.append(frame)
        self.queued += len(frame)
        self.pushed += 1

    def push(self, frame: bytes) -> None:
        """Take over a frame, and write what waits unless the kernel has no room."""
        self.queue(frame)
        if not self._is_full:
            self.flush()

    def flush(self) -> None:
        """Write what the kernel takes at once.

        Raises:
            OSError: This process cannot make a connection; what waits is kept.
        """
        if self._socket is None:
            self._connect()
        may_reconnect = True
        while self._outbox and self._socket is not None:
            try:
                self._written(self._socket.sendmsg(list(islice(self._outbox, BATCH)), (), NO_SIGNAL))
            except BlockingIOError:
                self._is_full = True
                return
            except OSError:
                if may_reconnect:
                    self._reconnect()
                else:
                    self.close(PeerState.REFUSING)
                may_reconnect = False
        self._is_full = self.is_blocked

    def close(self, state: PeerState = PeerState.GONE) -> None:
        """End the connection and drop what waits."""
        self.state = state
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._outbox.clear()
        self.queued = 0
        self.flushed = self.pushed

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(str(self.path))
            refused = not is_own_peer(connection)
        except BlockingIOError:  # it accepts too slowly: to be tried again
            connection.close()
            return
        except ConnectionRefusedError:
            remove(self.path)
            refused = True
        except FileNotFoundError:
            refused = True
        except OSError:
            connection.close()
            raise
        if refused:
            connection.close()
            self.close()
            return
        self._socket = connection

    def _reconnect(self) -> None:
        """Go on in a new connection: the peer has ended, or dropped this one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._outbox and isinstance(self._outbox[0], memoryview):
            self._forget_first()  # its begin went down with the connection
        self._connect()

    def _written(self, count: int) -> None:
        self.queued -= count
        while count:
            first = self._outbox[0]
            if count < len(first):
                self._outbox[0] = memoryview(first)[count:]
                return
            count -= len(first)
            self._outbox.popleft()
            self.flushed += 1
        if not self._outbox:
            self.state = PeerState.READY

    def _forget_first(self) -> None:
        self.queued -= len(self._outbox.popleft())
        self.flushed += 1
