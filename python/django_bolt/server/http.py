"""Plain HTTP on the port that the reactor listens on: uvicorn's protocol takes over a socket and what was read.

The reverse way, too: a WebSocket upgrade on a connection that HTTP kept alive comes back to the reactor.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from django_bolt import _core
from django_bolt.conf import bolt_settings

__all__ = ["HTTPHandover", "KeptAliveUpgrade", "ReactorState"]


class ReactorState(ServerState):
    """uvicorn's state of a server, and the reactor to which upgrades come back."""

    reactor: _core.Reactor


_REFUSALS = {
    status: f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    for status, phrase in ((408, "Request Timeout"), (431, "Request Header Fields Too Large"))
}


@dataclass(slots=True)
class _Arrival:
    """What the reactor knows of a connection that it hands over."""

    read_ahead: bytes
    client: tuple[str, int] | None
    is_secure: bool


class _ArrivedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a socket of which some bytes were read already."""

    def __init__(
        self, arrival: _Arrival, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.arrival = arrival
        self._limits = bolt_settings()
        self._awaits_head = True
        self._head_size = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.arrival.client
        self.scheme = "https" if self.arrival.is_secure else "http"
        read_ahead, self.arrival.read_ahead = self.arrival.read_ahead, b""
        # Here and not after `connect_accepted_socket`, which may let later bytes through first.
        self.data_received(read_ahead)

    def data_received(self, data: bytes) -> None:
        # What the reactor demands of the first head holds for those that follow on a kept-alive connection, too.
        if self._awaits_head and self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.handshake_timeout, self._refuse, 408)
        self._head_size += len(data) if self._awaits_head else 0
        super().data_received(data)
        if self._awaits_head and self._head_size > self._limits.max_head_size:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._end_head()
        self._awaits_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaits_head = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def is_answering(self) -> bool:
        """Whether the answer to a request is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _end_head(self) -> None:
        self._head_size = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        """End the connection for the head of a request."""
        self._end_head()
        if self.transport.is_closing():
            return
        if not self.is_answering():
            self.transport.write(_REFUSALS[status])
        self.transport.close()


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
        arrival = _Arrival(data, client, is_secure)
        task = asyncio.get_running_loop().create_task(self._connect(connection, arrival))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, arrival: _Arrival) -> None:
        def make_protocol() -> HttpToolsProtocol:
            return _ArrivedProtocol(arrival, self.config, self.server_state, self.app_state)

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
        http = cast(_ArrivedProtocol, transport.get_protocol())  # uvicorn changes it only after this call
        if http.is_answering():
            http.cycle.keep_alive = False  # Sent before the answer to another request: that one, and the end.
            return
        # A descriptor of its own, since the transport closes the one that it has.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        transport.pause_reading()
        self._reactor.adopt(descriptor, data, client=http.arrival.client, is_secure=http.arrival.is_secure)
        # In the loop's next turn, when uvicorn has made this object the transport's protocol.
        asyncio.get_running_loop().call_soon(transport.abort)
