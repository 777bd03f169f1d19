"""uvicorn's HTTP protocol, with the reactor's limits for what follows the first head of a connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from django_bolt.conf import bolt_settings

__all__ = ["MIN_BODY_RATE", "Arrival", "ArrivedProtocol"]

MIN_BODY_RATE = 100
"""Bytes a second that a request's body must come with, measured over each HANDSHAKE_TIMEOUT."""

_REFUSALS = {
    status: f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    for status, line in (
        (400, "400 Bad Request"),
        (408, "408 Request Timeout"),
        (431, "431 Request Header Fields Too Large"),
        (503, "503 Service Unavailable\r\nRetry-After: 10"),
    )
}

_FRAMING = (b"content-length", b"transfer-encoding")
"""Fields that tell where a body ends."""


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
    must come with `MIN_BODY_RATE`. None of this cuts off the answer to an earlier request. And there are no more than
    MAX_CONNECTIONS of them.

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
        self._behind_upgrade = b""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self.arrival.client
        self.scheme = "https" if self.arrival.is_secure else "http"
        read_ahead, self.arrival.read_ahead = self.arrival.read_ahead, b""
        if len(self.connections) > self._limits.max_connections:
            self._is_last = True
            self._refuse(503)
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
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._overhead > self._limits.max_head_size:
            self._refuse(431)
        elif not self._awaits_head and self._deadline is None and not self.transport.is_closing():
            self._watch_body()

    def _parse(self, data: bytes) -> None:
        """Parse as uvicorn does, which forgets what comes behind an upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(400)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._behind_upgrade = data[upgrade.args[0] :]
                self.handle_websocket_upgrade()
            else:
                self._decline_upgrade(data[upgrade.args[0] :])

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

    # ── upgrades ─────────────────────────────────────────────────────────────────────────────────────────

    def _should_upgrade(self) -> bool:
        # As the reactor reads a first head: one of several names, in one field or in several (RFC 9110 section 7.8).
        offered = b",".join(value for name, value in self.headers if name == b"upgrade")
        return b"websocket" in [name.strip().lower() for name in offered.split(b",")]

    def _decline_upgrade(self, behind: bytes) -> None:
        """Go on with a request as if it had asked for no upgrade (RFC 9110 section 7.8); it is the last.

        The parser takes whatever follows for the other protocol, so that the body needs a parser of its own, and what
        comes must not be taken for another request.
        """
        framing = [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name in _FRAMING]
        self.end_with_answer()
        if framing:
            self._is_last = self._awaits_head = False
            self.cycle.more_body = True
            self.parser = httptools.HttpRequestParser(_LastBody(self))
            self._parse(b"POST / HTTP/1.1\r\n%b\r\n%b" % (b"".join(framing), behind))

    def end_of_last_body(self) -> None:
        """Take nothing more."""
        self.on_message_complete()
        self._is_last = True

    def as_it_came(self, upgrade: bytes) -> bytes:
        """Return the head of an upgrade with the version that it named, and what came behind it.

        uvicorn writes it anew, always as HTTP/1.1.
        """
        version = self.scope["http_version"].encode()
        return upgrade.replace(b" HTTP/1.1\r\n", b" HTTP/%b\r\n" % version, 1) + self._behind_upgrade

    def handle_websocket_upgrade(self) -> None:
        # The connection can be the reactor's only when nothing is left of what was asked before.
        if self.is_answering() or self.transport.get_write_buffer_size():
            self.end_with_answer()
        else:
            super().handle_websocket_upgrade()


class _LastBody:
    """What a parser tells of a body and of nothing else, behind which nothing is taken."""

    def __init__(self, protocol: ArrivedProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.end_of_last_body
