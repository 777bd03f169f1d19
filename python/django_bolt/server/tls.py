"""TLS in front of the reactor: asyncio decrypts, and a socket pair carries the plain bytes.

So what is said about limits and deadlines holds with TLS, too, for HTTP and WebSocket alike; what it costs is one more
pass of each byte through the kernel.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass

from django_bolt import _core
from django_bolt.conf import BoltSettings
from django_bolt.server.tls_relay import Encrypted, Surroundings

__all__ = ["Certificate", "TLSListener", "make_context"]

logger = logging.getLogger("django_bolt.server")

MAX_ACCEPTS = 32
"""Connections accepted before others have their turn."""
ACCEPT_RETRY = 0.1
"""Seconds to wait when there may be no more connections, or the process has no descriptor left for another."""


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
    # It costs the server much and the client little; OpenSSL 3 knows that, those before it do not.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # WebSocket over HTTP/2 (RFC 8441) is not spoken here; saying so keeps clients from trying.
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSListener:
    """Accepts TLS connections and hands their plain bytes to a reactor.

    The reactor cannot see connections in the TLS handshake, nor those that it has ended and whose last bytes their
    clients have yet to take. When those are MAX_CONNECTIONS, with those whose request head it awaits, others wait to be
    accepted.

    Args:
        reactor: Gets one end of a socket pair for each connection.
        certificate: The server's.
        settings: ``handshake_timeout`` holds for the TLS handshake; ``max_connections`` as said above.
    """

    def __init__(self, reactor: _core.Reactor, certificate: Certificate, settings: BoltSettings) -> None:
        self._context = make_context(certificate)
        self._settings = settings
        self._surroundings = Surroundings(reactor)
        self._listeners: list[socket.socket] = []
        self._paused: list[socket.socket] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._is_short_reported = False

    def listen(self, listener: socket.socket) -> None:
        """Accept from a listening socket, and close it when listening stops."""
        listener.setblocking(False)
        self._listeners.append(listener)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def stop_listening(self) -> None:
        """Accept no more; connections that are open stay open."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners, self._paused = [], []

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(MAX_ACCEPTS):
            if self._is_full():
                self._pause(listener)
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait_for_descriptors(listener, error)
                return
            self._is_short_reported = False
            self._start_handshake(connection)

    def _is_full(self) -> bool:
        surroundings = self._surroundings
        return len(surroundings.outside) + surroundings.reactor.pending >= self._settings.max_connections

    def _pause(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._paused.append(listener)
        loop.call_later(ACCEPT_RETRY, self._resume)

    def _resume(self) -> None:
        paused, self._paused = self._paused, []
        for listener in paused:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _wait_for_descriptors(self, listener: socket.socket, error: OSError) -> None:
        if not self._is_short_reported:
            self._is_short_reported = True
            logger.error("Accepting TLS connections pauses: %s", error)
        self._pause(listener)

    def _start_handshake(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        client = Encrypted(self._surroundings)
        self._surroundings.outside.add(client)
        task = asyncio.get_running_loop().create_task(self._shake_hands(client, connection))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, client: Encrypted, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: client,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._settings.handshake_timeout,
            )
            await client.join_reactor()
        except OSError:
            pass  # No TLS, or too slow, or gone: asyncio has ended it.
        finally:
            if client.transport is None:
                self._surroundings.outside.discard(client)
