"""Receiving from the other processes of the project, on the event loop of a serving one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from pathlib import Path

from django_bolt.exceptions import BrokerUnavailable, InvalidPublication
from django_bolt.topics.brokers.base import Deliver
from django_bolt.topics.brokers.drops import DropReason, Drops
from django_bolt.topics.brokers.local.directory import RuntimeDirectory
from django_bolt.topics.brokers.local.sockets import HEADER, check_length, is_own_peer
from django_bolt.topics.publication import decode

__all__ = ["Receiver"]

logger = logging.getLogger("django_bolt.topics")

CHUNK = 65_536
"""Bytes read at once."""
TURN = 0.005
"""Seconds after which other work of the loop gets its turn, however much waits to be delivered."""
BACKLOG = 1024
WATCH_INTERVAL = 10.0
"""Seconds between looks whether the socket is still there: tidiers of temporary directories take it away."""


class Receiver:
    """Listens in the directory, and hands on what arrives.

    Args:
        directory: Where this process shall be found.
        largest: Bytes of the largest publication, encoded.
        hand_out: Called for each publication.
        drops: Counts what is none.

    Attributes:
        name: Of the socket.
    """

    def __init__(self, directory: RuntimeDirectory, largest: int, hand_out: Deliver, drops: Drops) -> None:
        self.name = make_name()
        self.largest = largest
        self.hand_out = hand_out
        self.drops = drops
        self.connections: set[Connection] = set()
        self._directory = directory
        self._listener: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen; from now on senders find this process.

        Raises:
            BrokerUnavailable: There can be no such directory or socket.
        """
        self._loop = asyncio.get_running_loop()
        self._directory.make()
        try:
            self._listener = listen(self._directory.path, self.name)
        except (OSError, ValueError) as error:
            raise self._directory.unavailable(str(error)) from error
        self._watch()

    def stop(self) -> None:
        """Be found no more, and end all connections."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                (self._directory.path / self.name).unlink()
        self._stop_listening()
        for connection in list(self.connections):
            connection.close()

    def abandon(self) -> None:
        """Let go of the descriptors in the child after a fork: loop and name are the parent's."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self.connections:
            connection.socket.close()
        self.connections = set()

    def _watch(self) -> None:
        assert self._listener is not None
        self._loop.add_reader(self._listener, self._accept)
        self._timer = self._loop.call_later(WATCH_INTERVAL, self._look_after)

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _look_after(self) -> None:
        """Listen anew if the socket was removed."""
        if self._listener is not None and (self._directory.path / self.name).exists():
            self._watch()
            return
        logger.warning("The socket in %s was removed; making another", self._directory.path)
        self._stop_listening()
        try:
            self.start()
        except BrokerUnavailable as error:
            logger.error("No publications from other processes: %s", error)
            self._timer = self._loop.call_later(WATCH_INTERVAL, self._look_after)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # such as too many open files: the same would come at once, again and again
            logger.warning("No connection from another process: %s", error)
            self._loop.remove_reader(self._listener)
            return
        if is_own_peer(accepted):
            self.connections.add(Connection(self, accepted, self._loop))
        else:
            logger.warning("A process of another user has connected to %s", self._directory.path)
            accepted.close()


class Connection:
    """What one process sends.

    Args:
        receiver: Gets the publications.
        accepted: The socket.
        loop: Tells when there is something to read.
    """

    def __init__(self, receiver: Receiver, accepted: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.socket = accepted
        self._receiver = receiver
        self._loop = loop
        self._buffer = bytearray()
        self._resumption: asyncio.Handle | None = None
        accepted.setblocking(False)
        loop.add_reader(accepted, self._read)

    def close(self) -> None:
        """End the connection."""
        if self._resumption is not None:
            self._resumption.cancel()
        self._loop.remove_reader(self.socket)
        self.socket.close()
        self._receiver.connections.discard(self)

    def _read(self) -> None:
        try:
            chunk = self.socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            return
        self._buffer += chunk
        self._take()

    def _take(self) -> None:
        """Hand on the publications in the buffer, as many as fit into one turn."""
        taken = 0
        deadline = time.monotonic() + TURN
        while (end := self._end_of_frame(taken)) is not None:
            self._hand_out(taken + HEADER.size, end)
            taken = end
            if self.socket.fileno() < 0:  # stopped meanwhile
                return
            if time.monotonic() > deadline:
                self._pause()
                break
        del self._buffer[:taken]

    def _end_of_frame(self, start: int) -> int | None:
        """Return where the frame ends that begins there; None if it is not here as a whole."""
        if len(self._buffer) < start + HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._buffer, start)
        if size > self._receiver.largest:
            self._receiver.drops.add(DropReason.TOO_LARGE, "from a process on this machine")
            self.close()
            return None
        end: int = start + HEADER.size + size
        return end if end <= len(self._buffer) else None

    def _hand_out(self, start: int, end: int) -> None:
        try:
            publication = decode(self._buffer[start:end])
        except InvalidPublication as error:
            self._receiver.drops.add(DropReason.INVALID, f"from a process on this machine: {error}")
            return
        self._receiver.hand_out(publication)

    def _pause(self) -> None:
        """Let other work of the loop have its turn; what the kernel holds waits meanwhile."""
        self._loop.remove_reader(self.socket)
        self._resumption = self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._resumption = None
        self._loop.add_reader(self.socket, self._read)
        self._take()


def make_name() -> str:
    """Return the name of a socket that no other will ever have."""
    return secrets.token_hex(8)


def hide(directory: Path, name: str) -> Path:
    """Return the path that a socket has until it listens: the longest of its paths.

    Raises:
        ValueError: It is too long.
    """
    path = directory / f".{name}"
    check_length(path)
    return path


def listen(directory: Path, name: str) -> socket.socket:
    """Return a socket that listens under a name; it appears only when it does, or it would be taken for dead.

    Raises:
        OSError: There can be none.
        ValueError: The path is too long.
    """
    hidden = hide(directory, name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(str(hidden))
        listener.listen(BACKLOG)
        hidden.rename(directory / name)
    except OSError:
        listener.close()
        raise
    return listener
