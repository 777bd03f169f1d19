"""A reactor behind TLS on the test's own loop, and clients that reach it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django_bolt import _core
from django_bolt.conf import BoltSettings
from django_bolt.server.tls import Certificate, TLSListener
from tests.core.loopback import Server

KIB, MIB = 1 << 10, 1 << 20
DEADLINE = 10.0
"""Seconds after which a test gives up."""


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make a certificate for localhost that vouches for itself."""
    chain, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return Certificate(str(chain), str(key))


class Encrypted:
    """A reactor behind TLS, on a port of the loopback interface.

    Args:
        server: The reactor.
        certificate: The server's.
        trust: The clients'.
        settings: As for `BoltSettings`.
    """

    def __init__(
        self, server: Server, certificate: Certificate, trust: ssl.SSLContext, **settings: Any
    ) -> None:
        self.server = server
        self.tls = TLSListener(server.reactor, certificate, BoltSettings(**settings))
        self.trust = trust
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[Client] = []

    @property
    def outside(self) -> int:
        """Number of the clients that are connected, and not in the reactor."""
        return len(self.tls._surroundings.outside)

    async def start(self) -> None:
        """Accept."""
        self.server.reactor.start()
        self.tls.listen(self._listener)

    async def connect(self, **options: Any) -> Client:
        """Return a client after the TLS handshake."""
        connection = asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust, **options)
        reader, writer = await asyncio.wait_for(connection, DEADLINE)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def open(self) -> Client:
        """Return a client after both handshakes."""
        client = await self.connect()
        return await client.open()

    def plain(self) -> socket.socket:
        """Return a TCP connection that has not said anything."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    async def stop(self) -> None:
        """End everything."""
        self.tls.stop_listening()
        for client in self._clients:
            client.writer.transport.abort()
        await self.server.stop()


class Client:
    """The client's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = _core.ClientProtocol("/", "testserver")
        self._events: list[tuple[Any, ...]] = []

    async def open(self) -> Client:
        """Do the opening handshake."""
        await self.send(self.protocol.request())
        assert (await self.event())[0] == "accepted"
        return self

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), DEADLINE)

    async def event(self) -> tuple[Any, ...]:
        """Return the next event; ``("eof",)`` at the end, which may be one by a reset."""
        while not self._events:
            with suppress(ConnectionError):
                data = await asyncio.wait_for(self.reader.read(MIB), DEADLINE)
            if not data:
                return ("eof",)
            self._events.extend(self.protocol.receive_data(data))
        return self._events.pop(0)

    async def echoes(self, message: bytes = b"hello") -> bool:
        """Ask an echo for an answer, sending and receiving at once."""
        sending = asyncio.ensure_future(self.send(self.protocol.binary(message)))
        found = await self.event()
        await sending
        return found == ("bytes", message)


Serve = Callable[..., Awaitable[Encrypted]]
