"""TLS in front of the reactor: asyncio decrypts, and a socket pair carries the plain bytes.

So what is said about limits and deadlines holds with TLS, too, for HTTP and WebSocket alike; what it costs is one more
pass of each byte through the kernel.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import ssl
from dataclasses import dataclass
from typing import cast

from django_bolt import _core

__all__ = ["Certificate", "TLSListener", "make_context"]

logger = logging.getLogger("django_bolt.server")

STALL_TIMEOUT = 30.0
"""Seconds in which a client must take something of what is left when the reactor has ended the connection: as long as
asyncio waits for the end of TLS itself. It may be longer than CLOSE_TIMEOUT, for slow downloads end like this, too."""


@dataclass(frozen=True)
class Certificate:
    """Files of a server's certificate, in PEM.

    Attributes:
        chain: File with the certificate and those that vouch for it.
        key: File with the key; None where the first file has it.
    """

    chain: str
    key: str | None = None


def make_context(certificate: Certificate) -> ssl.SSLContext:
    """Load a server's certificate chain and key.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: A file is not what it should be, or the key belongs to another certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    # WebSocket over HTTP/2 (RFC 8441) is not spoken here; saying so keeps clients from trying.
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSListener:
    """Accepts TLS connections and hands their plain bytes to a reactor.

    Args:
        reactor: Gets one end of a socket pair for each connection.
        certificate: The server's.
        handshake_timeout: Seconds for the TLS handshake.
    """

    def __init__(self, reactor: _core.Reactor, certificate: Certificate, handshake_timeout: float) -> None:
        self._reactor = reactor
        self._context = make_context(certificate)
        self._handshake_timeout = handshake_timeout
        self._servers: list[asyncio.Server] = []

    async def listen(self, listener: socket.socket) -> None:
        """Accept from a listening socket."""
        server = await asyncio.get_running_loop().create_server(
            lambda: _Encrypted(self._reactor),
            sock=listener,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake_timeout,
        )
        self._servers.append(server)

    def stop_listening(self) -> None:
        """Accept no more; connections that are open stay open."""
        for server in self._servers:
            server.close()


class _End(asyncio.Protocol):
    """One end of a relay: what it receives goes to the other, no faster than that takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        # Neither TLS nor we pass half an end on: the rest of what was received is written, then all is closed.
        return False

    def connection_lost(self, error: Exception | None) -> None:
        other, self.other, self.transport = self.other, None, None
        if other is not None and other.transport is not None:
            other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class _Encrypted(_End):
    """The client's end of a relay."""

    def __init__(self, reactor: _core.Reactor) -> None:
        super().__init__()
        self._reactor = reactor
        self._joining: asyncio.Task[None] | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        encrypted = cast(asyncio.Transport, transport)
        encrypted.pause_reading()
        self._joining = asyncio.get_running_loop().create_task(self._join(encrypted))

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(error)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

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
        if self.transport.get_write_buffer_size() >= size_before and _has_hung_up(self.other.transport):
            self.transport.abort()
        else:
            self._watch()

    async def _join(self, transport: asyncio.Transport) -> None:
        try:
            inner, outer = socket.socketpair()
        except OSError as error:
            logger.error("A TLS connection is dropped: no descriptor left: %s", error)
            transport.abort()
            return
        inner.setblocking(False)
        plain = _End()
        plain.other = self
        await asyncio.get_running_loop().create_connection(lambda: plain, sock=inner)
        if self.transport is None:  # gone meanwhile
            outer.close()
            return
        self.other = plain
        peer = transport.get_extra_info("peername")
        client = (peer[0], peer[1]) if isinstance(peer, tuple) else None
        self._reactor.adopt(outer.detach(), client=client, is_secure=True)
        self.transport.resume_reading()


def _has_hung_up(transport: asyncio.Transport) -> bool:
    """Return whether the other end of a socket pair was closed, though there may be bytes to read."""
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poller.poll(0))
