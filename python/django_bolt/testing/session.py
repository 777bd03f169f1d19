"""The client's side of one connection under test."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from django_bolt import _core
from django_bolt.close_codes import CloseCode
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.json_messages import encode_json

__all__ = ["HandshakeRejected", "WebSocketTestSession"]

READ_SIZE = 65536


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


class WebSocketTestSession:
    """A connection to an endpoint, as its client has it; made by `TestClient.websocket_connect`.

    All methods block. A receive raises `WebSocketDisconnect` once the server has closed.

    Attributes:
        accepted_subprotocol: The subprotocol that the server chose, or None.
        response_headers: Header fields of the 101 response, names in lower case.
        close_code: Close code once the connection has ended, else None: that of the server's Close frame, 1005 if
            it had none, 1006 if there was no Close frame.
        close_reason: Close reason.
    """

    def __init__(self, connection: socket.socket, protocol: _core.ClientProtocol, timeout: float) -> None:
        self.accepted_subprotocol: str | None = None
        self.response_headers: dict[str, str] = {}
        self.close_code: int | None = None
        self.close_reason = ""
        self._connection = connection
        self._protocol = protocol
        self._timeout = timeout
        self._messages: deque[str | bytes] = deque()
        self._pongs: deque[bytes] = deque()
        self._rejection: tuple[int, dict[str, str]] | None = None
        self._body = b""
        self._is_open = False
        self._sent_close = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.vanish()  # A test that failed already does not wait for a handler that may hang.

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over messages until the server closes."""
        try:
            while True:
                yield self.receive()
        except WebSocketDisconnect:
            return

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._send(self._protocol.text(text))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._send(self._protocol.binary(data))

    def send_json(self, data: Any) -> None:
        """Send data as JSON in a text message."""
        self.send_text(encode_json(data).decode())

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping frame and wait for its Pong."""
        self._send(self._protocol.ping(data))
        self._await(lambda: data in self._pongs or self.close_code is not None, f"a Pong with {data!r}")
        if data not in self._pongs:
            raise self._disconnect()
        self._pongs.remove(data)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, to try what no client should send."""
        self._send(data)

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Receive the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: Seconds to wait; None for the session's.

        Raises:
            WebSocketDisconnect: The connection has ended, and what came before was received.
            TimeoutError: Nothing came in time.
        """
        return self._receive("a message", timeout)

    def receive_text(self, timeout: float | None = None) -> str:
        """Receive a text message; AssertionError if it is binary. Otherwise as `receive`."""
        message = self._receive("a text message", timeout)
        if not isinstance(message, str):
            raise AssertionError(f"Expected a text message, got a binary one: {message[:200]!r}")
        return message

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Receive a binary message; AssertionError if it is text. Otherwise as `receive`."""
        message = self._receive("a binary message", timeout)
        if not isinstance(message, bytes):
            raise AssertionError(f"Expected a binary message, got a text one: {message[:200]!r}")
        return message

    def receive_json(self, timeout: float | None = None) -> Any:
        """Receive a message of either kind, decoded from JSON; otherwise as `receive`."""
        return json.loads(self._receive("a JSON message", timeout))

    def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the server closes, leaving messages unread; returns the close code."""
        self._await(lambda: self.close_code is not None, "the server's Close frame", timeout)
        assert self.close_code is not None
        return self.close_code

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close: send a Close frame and wait for the server's. Does nothing on a connection that has ended."""
        if self.close_code is None and not self._sent_close:
            self._sent_close = True
            with suppress(WebSocketDisconnect):  # The server is gone already, having said so or not.
                self._send(self._protocol.close(code, reason))
            self._await(lambda: self.close_code is not None, "the server's Close frame")
        self._connection.close()

    def vanish(self) -> None:
        """End the connection without a closing handshake, as a client whose network fails."""
        self._connection.close()
        self.close_code = self.close_code or CloseCode.ABNORMAL_CLOSURE

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> Self:
        """Send the opening handshake and wait for the answer.

        Raises:
            HandshakeRejected: The answer is another HTTP response than 101.
            WebSocketDisconnect: The connection ended before an answer.
        """
        self._send(self._protocol.request())
        self._await(self._is_answered, "the answer to the opening handshake")
        if self._rejection is None and not self._is_open:
            raise self._disconnect()
        if self._rejection is not None:
            self._await(lambda: self.close_code is not None, "the end of the rejection's body")
            self._connection.close()
            raise HandshakeRejected(*self._rejection, self._body)
        return self

    def _is_answered(self) -> bool:
        return self._is_open or self._rejection is not None or self.close_code is not None

    def _receive(self, awaited: str, timeout: float | None) -> str | bytes:
        self._await(lambda: bool(self._messages) or self.close_code is not None, awaited, timeout)
        if self._messages:
            return self._messages.popleft()
        raise self._disconnect()

    def _disconnect(self) -> WebSocketDisconnect:
        return WebSocketDisconnect(self.close_code or CloseCode.ABNORMAL_CLOSURE, self.close_reason)

    def _send(self, data: bytes) -> None:
        if self.close_code is not None:
            raise self._disconnect()
        try:
            self._connection.settimeout(self._timeout)
            self._connection.sendall(data)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"The server did not read for {self._timeout:g} s") from None
            self._drain()
            raise self._disconnect() from None

    def _drain(self) -> None:
        """Read what the server sent before it ended the connection."""
        self._await(lambda: self.close_code is not None, "the end of the connection")

    def _await(self, is_done: Any, awaited: str, timeout: float | None = None) -> None:
        """Read until something has happened."""
        timeout = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while not is_done():
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._connection.recv(READ_SIZE)
            except TimeoutError:
                raise TimeoutError(f"Waited {timeout:g} s for {awaited}, in vain") from None
            except OSError:
                data = b""
            if data:
                self._take(data)
            else:
                self.close_code = self.close_code or CloseCode.ABNORMAL_CLOSURE

    def _take(self, data: bytes) -> None:
        for kind, *values in self._protocol.receive_data(data):
            getattr(self, f"_on_{kind}")(*values)

    def _on_accepted(self, subprotocol: str | None, headers: list[tuple[str, str]]) -> None:
        self._is_open = True
        self.accepted_subprotocol = subprotocol
        self.response_headers = dict(headers)

    def _on_rejected(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._rejection = status, dict(headers)

    def _on_body(self, data: bytes) -> None:
        self._body += data

    def _on_text(self, text: str) -> None:
        self._messages.append(text)

    def _on_bytes(self, data: bytes) -> None:
        self._messages.append(data)

    def _on_ping(self, data: bytes) -> None:
        self._answer(self._protocol.pong(data))

    def _on_pong(self, data: bytes) -> None:
        self._pongs.append(data)

    def _on_close(self, code: int | None, reason: str) -> None:
        self.close_code = CloseCode.NO_STATUS_RECEIVED if code is None else code
        self.close_reason = reason
        if not self._sent_close:
            self._sent_close = True
            self._answer(self._protocol.close(code))

    def _on_failed(self, code: int, explanation: str) -> None:
        raise AssertionError(f"The server broke the protocol: {explanation} ({code})")

    def _answer(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError:
            return  # The server is gone already, which the next read tells.
