"""What a test session does, step by step, without I/O: shared by the blocking and the asynchronous one.

Each method is a generator. It yields what it must wait for, is sent whether that came in time, and returns the result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django_bolt.close_codes import CloseCode
from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.json_messages import decoder_for
from django_bolt.testing.connection import ClientConnection, HandshakeRejected
from django_bolt.testing.handlers import HandlerRecord, ObservedDispatcher
from django_bolt.testing.serving import LEAVE_TIMEOUT

__all__ = ["HandlerEnd", "SessionSteps", "Step", "Steps", "Until", "Written"]

T = TypeVar("T")
M = TypeVar("M", str, bytes)

KINDS: Mapping[type, str] = {str: "a text", bytes: "a binary"}


@dataclass(frozen=True, slots=True)
class Written:
    """Wait until the server took what is to be sent."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Until:
    """Send what is to be sent, then read until something has come."""

    has_come: Callable[[], bool]
    timeout: float


@dataclass(frozen=True, slots=True)
class HandlerEnd:
    """Wait for the end of the handler."""

    record: HandlerRecord
    timeout: float


Step = Written | Until | HandlerEnd
Steps = Generator[Step, bool, T]


class SessionSteps:
    """The steps of one session.

    Args:
        connection: The connection.
        dispatcher: Has the record of its handler.
        timeout: Seconds to wait where a call names none.
        raises_errors: Whether what the handler raises is raised here.
    """

    def __init__(
        self,
        connection: ClientConnection,
        dispatcher: ObservedDispatcher,
        timeout: float,
        raises_errors: bool,
    ) -> None:
        self.connection = connection
        self.timeout = timeout
        self._dispatcher = dispatcher
        self._raises_errors = raises_errors

    def open(self) -> Steps[None]:
        """Send the opening handshake and take its answer."""
        connection = self.connection
        yield from self._wait(
            lambda: connection.is_open or connection.status is not None, "the answer to the opening handshake"
        )
        if connection.is_open:
            return
        if connection.status is None:
            raise self._end()
        yield from self._wait(self._has_ended, "the end of the rejection's body")
        raise self._take_error() or HandshakeRejected(
            connection.status, dict(connection.response_headers), connection.body
        )

    def send(self, message: str | bytes) -> Steps[None]:
        """Send a message."""
        self._require_open()
        self.connection.send(message)
        yield from self._write()

    def send_raw(self, data: bytes) -> Steps[None]:
        """Send bytes as they are."""
        self._require_open()
        self.connection.send_raw(data)
        yield from self._write()

    def ping(self, data: bytes) -> Steps[None]:
        """Send a Ping frame and wait for its Pong."""
        self._require_open()
        self.connection.ping(data)
        pongs = self.connection.pongs
        yield from self._wait(lambda: data in pongs, f"a Pong with {data!r}")
        if data not in pongs:
            raise self._end()
        pongs.remove(data)

    def receive(self, awaited: str, timeout: float | None) -> Steps[str | bytes]:
        """Take the next message."""
        messages = self.connection.messages
        yield from self._wait(lambda: bool(messages), awaited, timeout)
        if messages:
            return messages.popleft()
        raise self._end()

    def receive_kind(self, kind: type[M], timeout: float | None) -> Steps[M]:
        """Take the next message, which must be of one kind."""
        message = yield from self.receive(f"{KINDS[kind]} message", timeout)
        if not isinstance(message, kind):
            found = KINDS[type(message)]
            raise AssertionError(f"Expected {KINDS[kind]} message, got {found} one: {message[:200]!r}")
        return message

    def receive_json(self, type_: Any, timeout: float | None) -> Steps[Any]:
        """Take the next message and decode it."""
        decode = decoder_for(type_)
        message = yield from self.receive("a JSON message", timeout)
        return decode(message)

    def wait_closed(self, timeout: float | None) -> Steps[int]:
        """Wait for the end of the connection, leaving messages unread."""
        yield from self._wait(self._has_ended, "the server's Close frame", timeout)
        if error := self._take_error():
            raise error
        assert self.connection.close_code is not None
        return self.connection.close_code

    def close(self, code: int | None, reason: str) -> Steps[None]:
        """Send a Close frame, wait for the server's and for the handler."""
        if self.connection.close(code, reason):
            yield from self._wait(self._has_ended, "the server's Close frame")
        record = self._record()
        if record is not None:
            # What the handler does when its client leaves is done then, if it does it at once.
            yield HandlerEnd(record, LEAVE_TIMEOUT)
        if error := self._take_error():
            raise error

    # ── what they are made of ────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, has_come: Callable[[], bool], awaited: str, timeout: float | None = None) -> Steps[None]:
        """Wait for something or for the end of the connection."""
        timeout = self.timeout if timeout is None else timeout
        if not (yield Until(lambda: has_come() or self._has_ended(), timeout)):
            raise TimeoutError(f"Waited {timeout:g} s for {awaited}, in vain: {self._describe()}")

    def _write(self) -> Steps[None]:
        if not (yield Written(self.timeout)):
            raise TimeoutError(f"The server did not read for {self.timeout:g} s: {self._describe()}")
        self._require_open()

    def _require_open(self) -> None:
        if self._has_ended():
            raise self._end()

    def _has_ended(self) -> bool:
        return self.connection.close_code is not None

    def _end(self) -> BaseException:
        """Return what to raise now that the connection has ended."""
        connection = self.connection
        if connection.violation:
            return AssertionError(f"The server broke the protocol: {connection.violation}")
        code = CloseCode.ABNORMAL_CLOSURE if connection.close_code is None else connection.close_code
        return self._take_error() or WebSocketDisconnect(code, connection.close_reason)

    def _take_error(self) -> BaseException | None:
        record = self._record() if self._raises_errors else None
        return record.take_error() if record else None

    def _record(self) -> HandlerRecord | None:
        return self._dispatcher.record_of(self.connection.key)

    def _describe(self) -> str:
        """Say what is known of the connection and of its handler."""
        record = self._record()
        if record is None:
            others = self._dispatcher.describe_running()
            said = "the server has not taken it yet" + (f"; {others}" if others else "")
        else:
            said = record.describe()
        unread = len(self.connection.messages)
        return said + (f"; messages that came and were not received: {unread}" if unread else "")
