"""The client's side of one connection, without I/O: bytes in, bytes and state out."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from django_bolt import _core
from django_bolt.close_codes import CloseCode

__all__ = ["ClientConnection", "HandshakeRejected"]

_KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)\r\n", re.IGNORECASE)


class HandshakeRejected(AssertionError):  # noqa: N818  (named like WebSocketDisconnect, for what happened)
    """The server answered the opening handshake with an HTTP response other than 101.

    Attributes:
        status: HTTP status.
        headers: Header fields, names in lower case.
        body: Body of the response.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        return f"The opening handshake was rejected with HTTP {self.status}: {self.body[:200]!r}"

    def json(self) -> Any:
        """Return the body, decoded from JSON."""
        return json.loads(self.body)


class ClientConnection:
    """What a client knows of its connection.

    Give it what comes (`receive_data`, `receive_eof`), and send what it has to send (`data_to_send`): its own
    messages, and the answers to Ping and Close frames.

    Attributes:
        path: Path and query that are connected to.
        key: Value of ``Sec-WebSocket-Key``, which no two connections share.
        is_open: Whether the server answered with 101.
        status: HTTP status of another answer, else None.
        accepted_subprotocol: The subprotocol that the server chose, or None.
        response_headers: Header fields of the answer, in order, names in lower case.
        body: Body of an answer other than 101.
        messages: What came and was not taken.
        pongs: Payloads of the Pong frames that came and were not taken.
        close_code: Close code once the connection has ended, else None.
        close_reason: Close reason.
        violation: How the server broke the protocol, else empty.
    """

    def __init__(self, path: str, protocol: _core.ClientProtocol) -> None:
        self.path = path
        self.is_open = False
        self.status: int | None = None
        self.accepted_subprotocol: str | None = None
        self.response_headers: list[tuple[str, str]] = []
        self.body = b""
        self.messages: deque[str | bytes] = deque()
        self.pongs: deque[bytes] = deque()
        self.close_code: int | None = None
        self.close_reason = ""
        self.violation = ""
        self._protocol = protocol
        self._outbound = bytearray(protocol.request())
        self._sent_close = False
        found = _KEY.search(self._outbound)
        self.key = found[1].decode() if found else ""

    # ── to the server ────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, message: str | bytes) -> None:
        """Queue a message: `str` as text, bytes as binary."""
        protocol = self._protocol
        self.send_raw(protocol.text(message) if isinstance(message, str) else protocol.binary(message))

    def send_raw(self, data: bytes) -> None:
        """Queue bytes as they are."""
        self._outbound += data

    def ping(self, data: bytes) -> None:
        """Queue a Ping frame."""
        self._outbound += self._protocol.ping(data)

    def close(self, code: int | None, reason: str) -> bool:
        """Queue a Close frame; returns False where there is none to send, for either side sent one already."""
        if self._sent_close or self.close_code is not None:
            return False
        self._outbound += self._protocol.close(code, reason)
        self._sent_close = True
        return True

    def data_to_send(self) -> bytes:
        """Take what is to be sent now."""
        data = bytes(self._outbound)
        self._outbound.clear()
        return data

    # ── from the server ──────────────────────────────────────────────────────────────────────────────────────────

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the server."""
        for kind, *values in self._protocol.receive_data(data):
            getattr(self, f"_on_{kind}")(*values)

    def receive_eof(self) -> None:
        """Note that nothing more will come: without a Close frame, an abnormal closure."""
        if self.close_code is None:
            self.close_code = CloseCode.ABNORMAL_CLOSURE

    def _on_accepted(self, subprotocol: str | None, headers: list[tuple[str, str]]) -> None:
        self.is_open = True
        self.accepted_subprotocol = subprotocol
        self.response_headers = headers

    def _on_rejected(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.response_headers = headers

    def _on_body(self, data: bytes) -> None:
        self.body += data

    def _on_text(self, text: str) -> None:
        self.messages.append(text)

    def _on_bytes(self, data: bytes) -> None:
        self.messages.append(data)

    def _on_ping(self, data: bytes) -> None:
        self._outbound += self._protocol.pong(data)

    def _on_pong(self, data: bytes) -> None:
        self.pongs.append(data)

    def _on_close(self, code: int | None, reason: str) -> None:
        self.close_code = CloseCode.NO_STATUS_RECEIVED if code is None else code
        self.close_reason = reason
        if not self._sent_close:
            self._sent_close = True
            self._outbound += self._protocol.close(code)

    def _on_failed(self, code: int, explanation: str) -> None:
        self.violation = f"{explanation} ({code})"
        self.receive_eof()
