"""What the endpoint layer needs of an engine: one connection, whatever carries it.

The native core is the engine. `Connection` says what it provides; the names and signatures are those of
``django_bolt._core.Connection``, whose stub is their manual.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django_bolt.compression import Compression

if TYPE_CHECKING:
    from django_bolt.topics.hub import Hub

__all__ = ["Connection"]

T = TypeVar("T")
Data = str | bytes | bytearray | memoryview


class Connection:
    """The primitives of one WebSocket on the server's side; an engine overrides every one of them."""

    __slots__ = ()

    @property
    def id(self) -> int:
        """Number of the connection, unique in this process."""
        raise NotImplementedError

    @property
    def hub(self) -> Hub | None:
        """Topics of the connection's server."""
        raise NotImplementedError

    @property
    def ready_state(self) -> int:
        """0 before the opening handshake was answered, 1 while open, 2 after."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """Request target as sent: path and query string. It may carry a token; do not log it."""
        raise NotImplementedError

    @property
    def raw_headers(self) -> list[tuple[str, str]]:
        """Header fields of the opening handshake in order, repeated ones too, names in lower case."""
        raise NotImplementedError

    def header_values(self, name: str) -> list[str]:
        """Return the values of the header fields of a name in lower case, in order; see `raw_headers`."""
        raise NotImplementedError

    @property
    def peer(self) -> tuple[str, int] | None:
        """Address and port of the socket's other end, which may be a proxy; None for a Unix socket."""
        raise NotImplementedError

    @property
    def is_secure(self) -> bool:
        """Whether the connection came over TLS to this process."""
        raise NotImplementedError

    @property
    def server(self) -> tuple[str, int] | None:
        """Local address and port of the connection; None where it has none."""
        raise NotImplementedError

    @property
    def close_code(self) -> int | None:
        """Close code; 1005 if the Close frame had none, 1006 if there was no Close frame, None while open."""
        raise NotImplementedError

    @property
    def close_reason(self) -> str:
        """Close reason."""
        raise NotImplementedError

    @property
    def buffered_amount(self) -> int:
        """Bytes queued for the client and not yet taken by the kernel."""
        raise NotImplementedError

    def accept_handshake(
        self,
        subprotocol: str | None,
        headers: Sequence[tuple[str, str]],
        compression: Compression | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Answer the opening handshake with 101; handlers call `WebSocket.accept`."""
        raise NotImplementedError

    def reject_handshake(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Coroutine[Any, Any, None]:
        """Answer the opening handshake with an HTTP response; handlers call `WebSocket.reject`."""
        raise NotImplementedError

    def close(self, code: int = 1000, reason: str = "") -> Coroutine[Any, Any, None]:
        """Start the closing handshake.

        Before `accept`, the opening handshake is completed first, so that a browser sees code and reason.
        Does not wait for the client's Close frame, and does nothing on a connection that is closing or
        closed.

        Args:
            code: Close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: Close reason, at most 123 bytes of UTF-8.

        Raises:
            ValueError: The code may not be sent, or the reason is too long.
        """
        raise NotImplementedError

    def fail(self, code: int, reason: str = "") -> None:
        """Send a Close frame and end TCP without waiting for the client's (RFC 6455 section 7.1.7)."""
        raise NotImplementedError

    def send(self, data: Data) -> Coroutine[Any, Any, None]:
        """Send `str` as a text message, bytes as a binary one; otherwise as `send_text`."""
        raise NotImplementedError

    def send_text(self, text: str) -> Coroutine[Any, Any, None]:
        """Send a text message.

        The message is queued at the call, so that cancelling the wait does not take it back. In the
        connection's own handler, and in tasks started from it, awaiting waits while the client is slow to
        read, and raises when the connection has ended. A send to another connection never waits and never
        raises for that client's sake: one that is gone is skipped, one that is too slow is closed with 1013.

        Raises:
            WebSocketDisconnect: The connection has ended (in its own handler only).
            RuntimeError: It was not accepted yet.
        """
        raise NotImplementedError

    def send_bytes(self, data: bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """Send a binary message; otherwise as `send_text`."""
        raise NotImplementedError

    def send_encoded(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send text that is encoded as UTF-8 already; otherwise as `send_text`.

        Raises:
            UnicodeDecodeError: The bytes are not UTF-8.
        """
        raise NotImplementedError

    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """Receive the next message: `str` for a text message, `bytes` for a binary one.

        Cancelling it loses no message, so it may stand under `asyncio.timeout`. Only one receive may wait on
        a connection at a time.

        Raises:
            WebSocketDisconnect: The connection has ended, and what came before was received.
            RuntimeError: Another receive waits, or the connection was not accepted yet.
        """
        raise NotImplementedError

    def receive_text(self) -> Coroutine[Any, Any, str]:
        """Receive a text message; otherwise as `receive`.

        Raises:
            UnsupportedData: The message is binary.
            WebSocketDisconnect: The connection has ended.
        """
        raise NotImplementedError

    def receive_bytes(self) -> Coroutine[Any, Any, bytes]:
        """Receive a binary message; otherwise as `receive`.

        Raises:
            UnsupportedData: The message is text.
            WebSocketDisconnect: The connection has ended.
        """
        raise NotImplementedError

    def receive_decoded(self, decoder: Callable[[str | bytes], T]) -> Coroutine[Any, Any, T]:
        """Receive a message of either kind and return ``decoder(message)``; otherwise as `receive`."""
        raise NotImplementedError

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over text messages, each received as by `receive_text`.

        When the client leaves, the loop raises WebSocketDisconnect, as `receive_text` does. (Starlette's loop
        just ends there.) A handler that does not catch it ends normally.
        """
        raise NotImplementedError

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over binary messages, each received as by `receive_bytes`; ends as `iter_text` does."""
        raise NotImplementedError

    def iter_decoded(self, decoder: Callable[[str | bytes], T]) -> AsyncIterator[T]:
        """Iterate over messages, each received as by `receive_decoded`; ends as `iter_text` does."""
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Iterate over messages of either kind, each received as by `receive`; ends as `iter_text` does."""
        raise NotImplementedError

    def attach_task(self, task: Task[Any]) -> None:
        """Name the handler's task: it is cancelled when it outlives its client by ``DISCONNECT_GRACE``."""
        raise NotImplementedError

    def detach_task(self) -> None:
        """Say that the handler has ended, so that what the engine keeps for it is freed."""
        raise NotImplementedError

    def enter_handler(self) -> None:
        """Mark the current context, and what is started from it, as this connection's own handler."""
        raise NotImplementedError
