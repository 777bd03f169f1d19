"""Pass the bytes of a TLS connection on to the reactor, which has the other end of a socket pair, and back."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from dataclasses import dataclass, field
from typing import Any, cast

from django_bolt import _core

__all__ = ["Encrypted", "Surroundings"]

logger = logging.getLogger("django_bolt.server")

BUFFER_SIZE = 65_536
"""Bytes that pass at once, and the high-water mark of each buffer of a relay."""

STALL_TIMEOUT = 30.0
"""Seconds in which a client must take something of what is left once the reactor has ended the connection: as long as
asyncio waits for the end of TLS itself. It may be longer than CLOSE_TIMEOUT, for slow downloads end like this, too."""


@dataclass(eq=False)
class Surroundings:
    """What the relays of a listener share.

    Attributes:
        reactor: Gets one end of a socket pair for each connection.
        outside: Clients that are connected and that the reactor does not know: not yet, or not any more.
        buffer: What passes through the relays, one after the other.
    """

    reactor: _core.Reactor
    outside: set[Encrypted] = field(default_factory=set)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(BUFFER_SIZE)))


class _End(asyncio.BufferedProtocol):
    """One end of a relay: what it receives goes to the other, no faster than that takes it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.is_ending = False
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(BUFFER_SIZE)

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all: it is filled and emptied without anything else in between.
        return self.surroundings.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(bytes(self.surroundings.buffer[:nbytes]))

    def eof_received(self) -> bool:
        # Neither TLS nor we pass half an end on: the rest of what was received is written, then all is closed.
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_watching()
        other, self.other, self.transport = self.other, None, None
        if other is not None and other.transport is not None:
            other.end(other.transport, error)

    def end(self, transport: asyncio.Transport, error: Exception | None) -> None:
        """End this end, too; an error tells that the other did not end well."""
        raise NotImplementedError

    # ── backpressure ─────────────────────────────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()
        self._watch()

    def resume_writing(self) -> None:
        self._stop_watching()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def _watch(self) -> None:
        """While the other end is not read, asyncio does not see that it was closed: look from time to time."""
        self._stop_watching()
        if self.transport is not None:
            size = self.transport.get_write_buffer_size()
            self._stalled = asyncio.get_running_loop().call_later(STALL_TIMEOUT, self._look, size)

    def _stop_watching(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _look(self, size_before: int) -> None:
        if self.transport is None or self.other is None or self.other.transport is None:
            return
        has_taken = self.transport.get_write_buffer_size() < size_before
        if self.is_ending and not has_taken:
            self.transport.abort()
            return
        if _has_hung_up(self.other.transport):
            self.begin_ending()
        self._watch()

    def begin_ending(self) -> None:
        """Note that the other end was closed, though there may be something left to write."""
        self.is_ending = True


class _Plain(_End):
    """Our end of the socket pair."""

    def end(self, transport: asyncio.Transport, error: Exception | None) -> None:
        # What a client has sent before it closed is still the reactor's to read; after a reset nobody misses it.
        if error is None:
            transport.close()
        else:
            transport.abort()

    def begin_ending(self) -> None:
        super().begin_ending()
        cast(asyncio.Transport, self.transport).abort()


class Encrypted(_End):
    """The client's end of a relay."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        encrypted: Any = transport
        encrypted.set_read_buffer_limits(BUFFER_SIZE)  # TLS transports of asyncio and uvloop have it
        encrypted.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.surroundings.outside.discard(self)
        super().connection_lost(error)

    def end(self, transport: asyncio.Transport, error: Exception | None) -> None:
        # With the last bytes, a Close frame or an answer, also where the reactor left something unread.
        self.begin_ending()
        transport.close()

    def begin_ending(self) -> None:
        super().begin_ending()
        self.surroundings.outside.add(self)

    async def join_reactor(self) -> None:
        """Let the reactor have the connection, after the TLS handshake."""
        try:
            inner, outer = socket.socketpair()
        except OSError as error:
            logger.error("A TLS connection is dropped: no descriptor left: %s", error)
            cast(asyncio.Transport, self.transport).abort()
            return
        inner.setblocking(False)
        plain = _Plain(self.surroundings)
        await asyncio.get_running_loop().create_connection(lambda: plain, sock=inner)
        plain.other = self
        if self.transport is None:  # gone meanwhile
            outer.close()
            return
        self.other = plain
        self.surroundings.outside.discard(self)
        peer = self.transport.get_extra_info("peername")
        # An address of the link comes with the name of an interface, which is no part of it.
        client = (peer[0].partition("%")[0], peer[1]) if isinstance(peer, tuple) else None
        try:
            self.surroundings.reactor.adopt(outer.detach(), client=client, is_secure=True)
        except BaseException:
            self.transport.abort()  # Nobody else would ever end it.
            raise
        self.transport.resume_reading()


def _has_hung_up(transport: asyncio.Transport) -> bool:
    """Return whether the other end of a socket was closed or reset, though there may be bytes to read."""
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poller.poll(0))
