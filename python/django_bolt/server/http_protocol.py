"""uvicorn's HTTP protocol, with the reactor's limits for what follows the first head of a connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from django_bolt.conf import bolt_settings

__all__ = ["MIN_BODY_RATE", "Arrival", "ArrivedProtocol"]

MIN_BODY_RATE = 100
"""Bytes a second that a request's body must come with, measured over each HANDSHAKE_TIMEOUT."""

_REFUSALS = {
    status: f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    for status, phrase in (
        (400, "Bad Request"),
        (408, "Request Timeout"),
        (431, "Request Header Fields Too Large"),
    )
}


@dataclass(slots=True)
class Arrival:
    """What the reactor knows of a connection that it hands over."""

    read_ahead: bytes
    client: tuple[str, int] | None
    is_secure: bool


class ArrivedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a socket of which some bytes were read already.

    What the reactor demands of the first head holds for those that follow on a kept-alive connection, too: it is
    complete within HANDSHAKE_TIMEOUT, and MAX_HEAD_SIZE bounds it, and whatever else is not the body itself. A body
    must come with `MIN_BODY_RATE`. None of this cuts off the answer to an earlier request.

    Args:
        arrival: The connection.
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: State that the ASGI application's lifespan made.
    """

    def __init__(
        self, arrival: Arrival, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.arrival = arrival
        self._limits = bolt_settings()
        self._running: RequestResponseCycle | None = None  # `cycle` is the last that came
        self._awaits_head = True
        self._is_last = False
        self._overhead = 0  # bytes of a head, or since the last byte of a body
        self._body_size = 0  # bytes of a body since the deadline was set
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.arrival.client
        self.scheme = "https" if self.arrival.is_secure else "http"
        read_ahead, self.arrival.read_ahead = self.arrival.read_ahead, b""
        # Here and not after `connect_accepted_socket`, which may let later bytes through first.
        self.data_received(read_ahead)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._tell_of_end()
        super().connection_lost(exc)

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._is_last:
            return
        if self._awaits_head and self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.handshake_timeout, self._refuse, 408)
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > self._limits.max_head_size:
            self._refuse(431)
        elif not self._awaits_head and self._deadline is None and not self.transport.is_closing():
            self._watch_body()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes behind the body must not pass for a field of the head (RFC 9110 section 6.5.1).
        if self._awaits_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._cancel_deadline()
        self._overhead = 0
        super().on_headers_complete()
        self._awaits_head = False

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        self._body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._cancel_deadline()
        self._overhead = 0
        self._awaits_head = True
        super().on_message_complete()

    # ── what is too slow or too large ────────────────────────────────────────────────────────────────────

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch_body(self) -> None:
        self._body_size = 0
        self._deadline = self.loop.call_later(
            self._limits.handshake_timeout, self._check_body, self._is_body_waiting()
        )

    def _check_body(self, was_waiting: bool) -> None:
        is_slow = self._body_size < MIN_BODY_RATE * self._limits.handshake_timeout
        if is_slow and not was_waiting and not self._is_body_waiting():
            self._refuse(408)
        else:
            self._watch_body()

    def _is_body_waiting(self) -> bool:
        """Whether it is us who do not take the body, or have not asked for it."""
        cycle: RequestResponseCycle | None = self.cycle
        is_asked_for = cycle is None or not cycle.waiting_for_100_continue
        return self.flow.read_paused or bool(self.pipeline) or not is_asked_for

    def _refuse(self, status: int) -> None:
        """End the connection for the request that is coming."""
        self._cancel_deadline()
        if self.transport.is_closing():
            return
        if self._awaits_head and self.is_answering():
            self.end_with_answer()
            return
        if self._is_unanswered():
            self.transport.write(_REFUSALS[status])
        self.transport.close()
        self._tell_of_end()  # now, and not when the client has taken what is left

    def _is_unanswered(self) -> bool:
        """Whether it is the turn of the request that is coming, and nothing was said to it."""
        running = self._running
        return self._awaits_head or (
            running is not None and running is self.cycle and not running.response_started
        )

    # ── requests behind one that is being answered ───────────────────────────────────────────────────────

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def is_answering(self) -> bool:
        """Whether the answer to a request is under way."""
        return self._running is not None and not self._running.response_complete

    def _tell_of_end(self) -> None:
        """Tell the application that the client has left."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def end_with_answer(self) -> None:
        """Take nothing more, and end the connection with the answers that are under way."""
        self._is_last = True
        self._cancel_deadline()
        if self.is_answering():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400)

    def handle_websocket_upgrade(self) -> None:
        # The connection can be the reactor's only when nothing is left of what was asked before.
        if self.is_answering() or self.transport.get_write_buffer_size():
            self.end_with_answer()
        else:
            super().handle_websocket_upgrade()
