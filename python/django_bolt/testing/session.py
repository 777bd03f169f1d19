"""`WebSocketTestSession`, a connection as a test has it that blocks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from django_bolt.close_codes import CloseCode
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.json_messages import encode_json
from django_bolt.testing.state import SessionState
from django_bolt.testing.steps import HandlerEnd, SessionSteps, Step, Steps, Until, Written

__all__ = ["WebSocketTestSession"]

T = TypeVar("T")

READ_SIZE = 65536


class WebSocketTestSession(SessionState):
    """A connection to an endpoint, as its client has it; made by `TestClient.websocket_connect`.

    All methods block. Once the server has closed and what came before is received, a receive or send raises
    `WebSocketDisconnect`; or, once, what the handler has raised.
    """

    def __init__(self, steps: SessionSteps, link: socket.socket) -> None:
        super().__init__(steps)
        self._link = link

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

    def send(self, message: str | bytes) -> None:
        """Send `str` as a text message, bytes as a binary one.

        Raises:
            WebSocketDisconnect: The connection has ended.
            TimeoutError: The server reads no more.
        """
        self._run(self._steps.send(message))

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._run(self._steps.send(text))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._run(self._steps.send(data))

    def send_json(self, data: Any) -> None:
        """Send data as JSON in a text message."""
        self._run(self._steps.send(encode_json(data).decode()))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, to try what no client should send."""
        self._run(self._steps.send_raw(data))

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping frame and wait for its Pong."""
        self._run(self._steps.ping(data))

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Receive the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: Seconds to wait; None for the client's.

        Raises:
            WebSocketDisconnect: The connection has ended, and what came before was received.
            TimeoutError: Nothing came in time; the text says what the handler does.
        """
        return self._run(self._steps.receive("a message", timeout))

    def receive_text(self, timeout: float | None = None) -> str:
        """Receive a text message; AssertionError if it is binary. Otherwise as `receive`."""
        return self._run(self._steps.receive_kind(str, timeout))

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Receive a binary message; AssertionError if it is text. Otherwise as `receive`."""
        return self._run(self._steps.receive_kind(bytes, timeout))

    @overload
    def receive_json(self, timeout: float | None = None) -> Any: ...
    @overload
    def receive_json(self, timeout: float | None = None, *, type: type[T]) -> T: ...
    @overload
    def receive_json(self, timeout: float | None = None, *, type: Any) -> Any: ...
    def receive_json(self, timeout: float | None = None, *, type: Any = Any) -> Any:  # noqa: A002 - as on WebSocket
        """Receive a message of either kind and decode it from JSON. Otherwise as `receive`.

        Args:
            timeout: Seconds to wait; None for the client's.
            type: What to decode into, as for `WebSocket.receive_json`.

        Raises:
            InvalidMessage: The message is no JSON, or does not fit the type.
        """
        return self._run(self._steps.receive_json(type, timeout))

    def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the server closes, leaving messages unread; returns the close code."""
        return self._run(self._steps.wait_closed(timeout))

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close: send a Close frame and wait for the server's, and a moment for the handler to end.

        On a connection that has ended it only waits for the handler.
        """
        self._run(self._steps.close(code, reason))
        self._link.close()

    def vanish(self) -> None:
        """End the connection without a closing handshake, as a client whose network fails."""
        self._link.close()
        self._steps.connection.receive_eof()

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> Self:
        """Send the opening handshake and wait for the answer; called once, by the client."""
        try:
            self._run(self._steps.open())
        except BaseException:
            self._link.close()
            raise
        return self

    def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._perform(step))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _perform(self, step: Step) -> bool:
        match step:
            case HandlerEnd(record, timeout):
                return bool(wait([record.ended], timeout).done)
            case Written(timeout):
                return self._write(timeout)
            case Until(has_come, timeout):
                return self._write(timeout) and self._read(has_come, timeout)

    def _read(self, has_come: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        connection = self._steps.connection
        while not has_come():
            self._link.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._link.recv(READ_SIZE)
            except TimeoutError:
                return False
            except OSError:
                data = b""
            if not data:
                connection.receive_eof()
                continue
            connection.receive_data(data)
            with suppress(OSError):  # The server is gone already, which the next read tells.
                self._link.sendall(connection.data_to_send())
        return True

    def _write(self, timeout: float) -> bool:
        connection = self._steps.connection
        try:
            self._link.settimeout(max(0.001, timeout))
            self._link.sendall(connection.data_to_send())
        except TimeoutError:
            return False
        except OSError:
            # What the server sent before it ended the connection tells how it did.
            return self._read(lambda: connection.close_code is not None, timeout)
        return True
