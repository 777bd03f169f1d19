"""Plain HTTP on the port that the reactor listens on: uvicorn's protocol takes over a socket and what was read.

The reverse way, too: a WebSocket upgrade on a connection that HTTP kept alive comes back to the reactor.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from django_bolt import _core

__all__ = ["HTTPHandover", "KeptAliveUpgrade", "ReactorState"]


class ReactorState(ServerState):
    """uvicorn's state of a server, and the reactor to which upgrades come back."""

    reactor: _core.Reactor


class _ReadAheadProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a socket of which some bytes were read already."""

    def __init__(
        self, read_ahead: bytes, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._read_ahead = read_ahead

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Here and not after `connect_accepted_socket`, which may let later bytes through first.
        self.data_received(self._read_ahead)
        self._read_ahead = b""


class HTTPHandover:
    """Gives sockets to uvicorn's HTTP protocol; called by the reactor with a descriptor and what was read.

    Args:
        config: uvicorn's, loaded.
        server_state: uvicorn's.
        app_state: State that the ASGI application's lifespan made.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, descriptor: int, data: bytes) -> None:
        connection = socket.socket(fileno=descriptor)
        task = asyncio.get_running_loop().create_task(self._connect(connection, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, data: bytes) -> None:
        def make_protocol() -> HttpToolsProtocol:
            return _ReadAheadProtocol(data, self.config, self.server_state, self.app_state)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(make_protocol, connection)
        except OSError:
            connection.close()  # The client is gone already.


class KeptAliveUpgrade(asyncio.Protocol):
    """uvicorn's "WebSocket protocol": moves the connection into the reactor, opening handshake first."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._reactor = cast(ReactorState, server_state).reactor
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return  # It is the reactor's by now.
        # A descriptor of its own, since the transport closes the one that it has.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        transport.pause_reading()
        self._reactor.adopt(descriptor, data)
        # In the loop's next turn, when uvicorn has made this object the transport's protocol.
        asyncio.get_running_loop().call_soon(transport.abort)
