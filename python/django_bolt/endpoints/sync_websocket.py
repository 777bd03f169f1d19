"""`SyncWebSocket`, the object that a ``def`` handler is given."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar, overload

from django_bolt.close_codes import CloseCode
from django_bolt.database import release_broken_connections
from django_bolt.endpoints.blocking_calls import BlockingCalls, Method
from django_bolt.endpoints.connection import Data
from django_bolt.endpoints.headers import Headers
from django_bolt.endpoints.sync_subscription import SyncSubscription
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import UnsupportedData, WrongState
from django_bolt.json_messages import decoder_for, encode_json
from django_bolt.topics.subscriptions import Filter, Subscription, Transform

__all__ = ["SyncWebSocket"]

T = TypeVar("T")

FREE_SIZE = 16_384
"""Bytes in the outbound buffer up to which a send need not ask the loop whether it must wait.

The core's low-water mark: below it a connection is never congested.
"""

_serving: ContextVar[SyncWebSocket | None] = ContextVar("django_bolt_sync_websocket", default=None)
"""The connection whose handler runs in this context."""


class SyncWebSocket(BlockingCalls):
    """A `WebSocket` whose methods block, for handlers that are a plain ``def``.

    The names, and what they mean, are those of `WebSocket`; see there. Every ``receive_*`` takes a ``timeout``. A send
    to the handler's own client waits while that client is slow to read; one to another connection never does, so that
    a loop over a set of connections is safe here too.

    When it has waited for its client for a moment, the handler's database connections are released as at the end of a
    request, except inside of a transaction.

    Methods may be called from any thread but that of the event loop; only the handler's own counts as its handler.

    Args:
        websocket: The connection; on the thread of its event loop.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_context",
        "_incoming",
        "_receiving",
        "_sending",
        "_tasks",
        "_unsent",
    )

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._incoming: Future[str | bytes] | None = None
        self._receiving = threading.Lock()
        self._sending = threading.Lock()
        self._unsent = 0

    def enter_handler(self) -> None:
        """Mark the current context, and what is started from it, as this connection's own handler."""
        _serving.set(self)

    # ── the opening and the closing handshake ────────────────────────────────────────────────────────────────────

    def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the connection; see `WebSocket.accept`."""
        self._call(self._websocket.accept, subprotocol, headers)

    def reject(self, status: int = 403, body: Any = b"", headers: Headers | None = None) -> None:
        """Refuse the connection with an HTTP response; see `WebSocket.reject`."""
        self._call(self._websocket.reject, status, body, headers)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Start the closing handshake; see `WebSocket.close`."""
        self._call(self._websocket.close, code, reason)

    def reauthenticate(self, token: Any) -> None:
        """Stay connected by a new token, which the client has sent; see `WebSocket.reauthenticate`."""
        self._call(self._websocket.reauthenticate, token)

    # ── topics ───────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe(
        self,
        *topics: str,
        patterns: Iterable[str] = (),
        filter: Filter | None = None,  # noqa: A002 - documented name
        transform: Transform | None = None,
    ) -> SyncSubscription:
        """Subscribe the client to topics; see `WebSocket.subscribe`.

        When it returns, what other processes publish from then on arrives, too. In a ``with``, its end unsubscribes.
        """
        return SyncSubscription(self._call(self._subscribe, topics, patterns, filter, transform), self._call)

    async def _subscribe(
        self,
        topics: Iterable[str],
        patterns: Iterable[str],
        keep: Filter | None,
        transform: Transform | None,
    ) -> Subscription:
        subscription = self._websocket.subscribe(*topics, patterns=patterns, filter=keep, transform=transform)
        await subscription
        return subscription

    def unsubscribe(self, *names: str) -> None:
        """End subscriptions, whoever began them; see `WebSocket.unsubscribe`."""
        self._call(self._websocket.unsubscribe, *names)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: Data) -> None:
        """Send `str` as a text message, bytes as a binary one; otherwise as `send_text`."""
        if isinstance(data, str):
            self.send_text(data)
        else:
            self.send_bytes(data)

    def send_text(self, text: str) -> None:
        """Send a text message.

        The message is on its way when this returns. In the connection's own handler it waits while the client is slow
        to read. A send to another connection never waits and never raises for that client's sake: one that is gone is
        skipped, one that is too slow is closed with 1013.

        Raises:
            WebSocketDisconnect: The connection has ended (in its own handler only).
            WrongState: It was not accepted yet. It is a RuntimeError.
        """
        if not isinstance(text, str):
            raise TypeError(f"A text message is a str, not {type(text).__name__}")
        self._send(self._websocket.send_encoded, text.encode())

    def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message; otherwise as `send_text`."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"A binary message is bytes, not {type(data).__name__}")
        self._send(self._websocket.send_bytes, bytes(data))  # A copy: the caller may change a buffer at once.

    def send_encoded(self, data: bytes) -> None:
        """Send text that is encoded as UTF-8 already; otherwise as `send_text`.

        Raises:
            UnicodeDecodeError: The bytes are not UTF-8.
        """
        data.decode()
        self._send(self._websocket.send_encoded, data)

    def send_json(self, data: Any) -> None:
        """Send data as JSON in a text message; see `WebSocket.send_json`. Otherwise as `send_text`."""
        self._send(self._websocket.send_encoded, encode_json(data))

    def _send(self, method: Method, data: bytes) -> None:
        self._require_other_thread()
        if self.ready_state == WebSocketState.CONNECTING:
            raise WrongState("send", WebSocketState.CONNECTED.name, WebSocketState.CONNECTING.name)
        if _serving.get() is not self:
            self._calls.post(method, data, size=len(data))
        elif not self._send_freely(method, data):
            self._call(method, data)

    def _send_freely(self, method: Method, data: bytes) -> bool:
        """Send without waiting for the loop, if it is sure that the client is open and that nobody need wait."""
        with self._sending:
            unsent = self._unsent + len(data)
            if self.ready_state != WebSocketState.CONNECTED or unsent + self.buffered_amount >= FREE_SIZE:
                return False
            self._unsent = unsent
        self._calls.post(self._send_now, method, data, size=len(data))
        return True

    def _send_now(self, method: Method, data: bytes) -> None:
        with self._sending:
            self._unsent -= len(data)
        _ = self._context.run(method, data)  # Queued by the call; what it returns would not wait.

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, *, timeout: float | None = None) -> str | bytes:
        """Receive the next message: `str` for a text message, `bytes` for a binary one.

        Args:
            timeout: Seconds to wait; None for as long as the connection lasts. No message is lost by it.

        Raises:
            TimeoutError: No message came in time.
            WebSocketDisconnect: The connection has ended, and what came before was received.
            RuntimeError: Another receive waits, or the connection was not accepted yet.
        """
        self._require_other_thread()
        if not self._receiving.acquire(blocking=False):
            raise RuntimeError("Another receive waits on this connection")
        try:
            release_broken_connections()
            return self._next_message(timeout)
        finally:
            self._receiving.release()

    def receive_text(self, *, timeout: float | None = None) -> str:
        """Receive a text message; otherwise as `receive`.

        Raises:
            UnsupportedData: The message is binary.
        """
        message = self.receive(timeout=timeout)
        if not isinstance(message, str):
            raise UnsupportedData("text", "binary")
        return message

    def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Receive a binary message; otherwise as `receive`.

        Raises:
            UnsupportedData: The message is text.
        """
        message = self.receive(timeout=timeout)
        if not isinstance(message, bytes):
            raise UnsupportedData("binary", "text")
        return message

    @overload
    def receive_json(self, *, timeout: float | None = None) -> Any: ...
    @overload
    def receive_json(self, *, type: type[T], timeout: float | None = None) -> T: ...
    @overload
    def receive_json(self, *, type: Any, timeout: float | None = None) -> Any: ...
    def receive_json(self, *, type: Any = Any, timeout: float | None = None) -> Any:  # noqa: A002 - documented name
        """Receive a message of either kind and decode it; see `WebSocket.receive_json`. Otherwise as `receive`."""
        decode = decoder_for(type)
        return decode(self.receive(timeout=timeout))

    def iter_text(self) -> Iterator[str]:
        """Iterate over text messages, each received as by `receive_text`.

        When the client leaves, the loop raises WebSocketDisconnect, as `receive_text` does. A handler that does not
        catch it ends normally.
        """
        while True:
            yield self.receive_text()

    def iter_bytes(self) -> Iterator[bytes]:
        """Iterate over binary messages, each received as by `receive_bytes`; ends as `iter_text` does."""
        while True:
            yield self.receive_bytes()

    @overload
    def iter_json(self) -> Iterator[Any]: ...
    @overload
    def iter_json(self, *, type: type[T]) -> Iterator[T]: ...
    @overload
    def iter_json(self, *, type: Any) -> Iterator[Any]: ...
    def iter_json(self, *, type: Any = Any) -> Iterator[Any]:  # noqa: A002 - documented name
        """Iterate over messages, each received as by `receive_json`; ends as `iter_text` does."""
        decode = decoder_for(type)
        return map(decode, self)

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over messages of either kind, each received as by `receive`; ends as `iter_text` does."""
        while True:
            yield self.receive()

    def _next_message(self, timeout: float | None) -> str | bytes:
        """Wait for a message; one that is asked for in vain stays asked for, so that the next call gets it."""
        if self._incoming is None:
            self._incoming = self._begin(self._websocket.receive)
        if not self._is_answered(self._incoming, timeout):
            raise TimeoutError(f"No message came within {timeout:g} s")
        incoming, self._incoming = self._incoming, None
        try:
            return incoming.result()
        finally:
            del incoming  # An exception that it holds would hold it, through this frame.
