"""Plain HTTP on the port that the reactor listens on: uvicorn's protocol takes over a socket and what was read.

The reverse way, too: a WebSocket upgrade on a connection that HTTP kept alive comes back to the reactor.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from django_bolt import _core
from django_bolt.server.http_protocol import Arrival, ArrivedProtocol

__all__ = ["HTTPHandover", "KeptAliveUpgrade", "ReactorState"]


class ReactorState(ServerState):
    """uvicorn's state of a server, and the reactor to which upgrades come back."""

    reactor: _core.Reactor


class HTTPHandover:
    """Gives sockets to uvicorn's HTTP protocol; called by the reactor.

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

    def __call__(self, descriptor: int, data: bytes, client: tuple[str, int] | None, is_secure: bool) -> None:
        """Take over a connection; see `django_bolt._core.Reactor` for the arguments."""
        connection = socket.socket(fileno=descriptor)
        arrival = Arrival(data, client, is_secure)
        task = asyncio.get_running_loop().create_task(self._connect(connection, arrival))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, arrival: Arrival) -> None:
        def make_protocol() -> ArrivedProtocol:
            return ArrivedProtocol(arrival, self.config, self.server_state, self.app_state)

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
        http = cast(ArrivedProtocol, transport.get_protocol())  # uvicorn changes it only after this call
        # A descriptor of its own, since the transport closes the one that it has.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        transport.pause_reading()
        arrival, data = http.arrival, http.as_it_came(data)
        self._reactor.adopt(descriptor, data, client=arrival.client, is_secure=arrival.is_secure)
        # In the loop's next turn, when uvicorn has made this object the transport's protocol.
        asyncio.get_running_loop().call_soon(transport.abort)
