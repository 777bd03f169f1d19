"""The native core: reactor, connection and awaitables.

This stub is the manual of the binary; ``mypy.stubtest`` holds the two together.
All of it belongs to the thread of one event loop, except where a method says otherwise.
"""

from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, Self, TypeVar, final

from typing_extensions import disjoint_base

_T = TypeVar("_T")

__version__: Final[str]

class _Compression(Protocol):
    """Wishes for permessage-deflate; `django_bolt.compression.Compression` is one."""

    @property
    def server_no_context_takeover(self) -> bool: ...
    @property
    def client_no_context_takeover(self) -> bool: ...
    @property
    def server_max_window_bits(self) -> int: ...
    @property
    def client_max_window_bits(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def memory_level(self) -> int: ...
    @property
    def min_size(self) -> int: ...

@final
class Options:
    """Limits and times of a reactor: sizes in bytes, times in seconds, rates a second; ``0`` switches a timer or rate off.

    A connection over its rate is closed with 1008, or read more slowly where ``rate_waits`` is true.
    """

    def __new__(
        cls,
        *,
        max_message_size: int = 1_048_576,
        max_frame_size: int = 1_048_576,
        max_fragments: int = 131_072,
        max_head_size: int = 16_384,
        max_connections: int = 10_000,
        inbound_limit: int = 1_048_576,
        outbound_limit: int = 4_194_304,
        message_rate: float = 0.0,
        byte_rate: float = 0.0,
        rate_waits: bool = False,
        handshake_timeout: float = 10.0,
        ping_interval: float = 20.0,
        ping_timeout: float = 20.0,
        close_timeout: float = 5.0,
        disconnect_grace: float = 10.0,
    ) -> Self: ...

@disjoint_base
class Connection:
    """One WebSocket on the server's side, from its opening handshake to its end.

    Subclass it and give the subclass to `Reactor`, which makes the instances.
    """

    def __new__(cls) -> Self: ...
    @property
    def id(self) -> int:
        """Number of the connection, unique in this process."""
    @property
    def hub(self) -> Any:
        """The hub of its reactor: a `Hub`, or None."""
    @property
    def ready_state(self) -> int:
        """0 before the handshake was answered, 1 while open, 2 once either side closed or the client is gone."""
    @property
    def target(self) -> str:
        """Request target as sent: path and query string."""
    @property
    def raw_headers(self) -> list[tuple[str, str]]:
        """Header fields of the opening handshake in order, names in lower case, decoded as Latin-1."""
    def header_values(self, name: str) -> list[str]:
        """Return the values of the header fields of a name, in any case and in order, decoded as Latin-1."""
    @property
    def peer(self) -> tuple[str, int] | None:
        """Address and port of the peer; None where it has none (a socket pair, a Unix socket)."""
    @property
    def is_secure(self) -> bool:
        """Whether the connection came over TLS, as `Reactor.adopt` was told."""
    @property
    def server(self) -> tuple[str, int] | None:
        """Local address and port of the connection; None where it has none."""
    @property
    def close_code(self) -> int | None:
        """Code of the first Close frame of either side, 1005 if that had none, 1006 if there was none; None while open."""
    @property
    def close_reason(self) -> str:
        """Reason of that Close frame."""
    @property
    def buffered_amount(self) -> int:
        """Bytes queued for the peer and not yet taken by the kernel; what is still to be compressed counts as it is."""
    def accept_handshake(
        self,
        subprotocol: str | None,
        headers: Sequence[tuple[str, str]],
        compression: _Compression | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Answer the opening handshake with 101; header values must be clean (no CR, LF or NUL: ValueError).

        Where `compression` is given, an offer of permessage-deflate (RFC 7692) is agreed to within those wishes.

        Raises (when awaited): RuntimeError if it was answered already; WebSocketDisconnect if the client is gone.
        """
    def reject_handshake(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Coroutine[Any, Any, None]:
        """Answer the opening handshake with an HTTP response and end the connection. Raises RuntimeError if it was answered already."""
    def close(self, code: int = 1000, reason: str = "") -> Coroutine[Any, Any, None]:
        """Start the closing handshake; before `accept`, complete the opening handshake first so that a browser sees the code.

        Does not wait for the peer's Close frame. Does nothing on a connection that is closing or closed.

        Raises:
            ValueError: The code may not be sent (RFC 6455 section 7.4), or the reason exceeds 123 bytes of UTF-8.
        """
    def fail(self, code: int, reason: str = "") -> None:
        """Send a Close frame and end TCP at once, without waiting for the peer's Close frame (RFC 6455 section 7.1.7)."""
    def send(self, data: str | bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """Send `str` as a text message, bytes as a binary one; otherwise as `send_text`."""
    def send_text(self, text: str) -> Coroutine[Any, Any, None]:
        """Send a text message.

        The frame is queued at the call. Awaiting suspends only in the connection's own handler (or a task started
        from it), and only if its outbound buffer already stood at the high-water mark. On a closed connection it
        raises WebSocketDisconnect in the own handler, and does nothing elsewhere.
        """
    def send_bytes(self, data: bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """Send a binary message; otherwise as `send_text`."""
    def send_encoded(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send UTF-8 bytes as a text message; otherwise as `send_text`. Raises UnicodeDecodeError if they are not UTF-8."""
    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """Receive the next message: `str` for text, `bytes` for binary.

        Cancelling it loses no message. Raises WebSocketDisconnect when the connection has ended and RuntimeError
        while another receive waits on the same connection or before `accept`.
        """
    def receive_text(self) -> Coroutine[Any, Any, str]:
        """Receive a text message; UnsupportedData if it is binary. Otherwise as `receive`."""
    def receive_bytes(self) -> Coroutine[Any, Any, bytes]:
        """Receive a binary message; UnsupportedData if it is text. Otherwise as `receive`."""
    def receive_decoded(self, decoder: Callable[[str | bytes], _T]) -> Coroutine[Any, Any, _T]:
        """Receive a message of either kind and return ``decoder(message)``. Otherwise as `receive`."""
    def iter_text(self) -> AsyncIterator[str]:
        """Iterate as by `receive_text`; the client's leaving raises WebSocketDisconnect here too."""
    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate as by `receive_bytes`."""
    def iter_decoded(self, decoder: Callable[[str | bytes], _T]) -> AsyncIterator[_T]:
        """Iterate as by `receive_decoded`."""
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...
    def attach_task(self, task: Task[Any]) -> None:
        """Name the handler's task: it is cancelled when it outlives the client by ``disconnect_grace``."""
    def detach_task(self) -> None:
        """Say that the handler has ended, so that what the reactor keeps for it is freed."""
    def enter_handler(self) -> None:
        """Mark the current context, and what is started from it, as this connection's own handler."""

@disjoint_base
class Hub:
    """Topics, and the connections of one reactor that are subscribed to them.

    Subclass it to learn of interest in topics. A name that ends with ``*`` is a pattern: it stands for every topic
    that begins with what comes before; ``*`` alone for all but those that begin with ``$``. Any thread may call its methods; callbacks run in the thread that publishes.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def interest_changed(self, topic: str, wanted: bool) -> None:
        """Called when a topic or pattern got its first subscriber, or lost its last; does nothing by itself."""
    def subscribe(
        self,
        connection: Connection,
        topic: str,
        callback: Callable[[str | bytes], str | bytes | None] | None = None,
    ) -> bool:
        """Subscribe a connection until it unsubscribes or ends; what is published before `accept` it does not get.

        Args:
            connection: The connection; subscribing it again only replaces the callback.
            topic: A topic or pattern.
            callback: Called with each publication; returns what to send instead, None for nothing. Without one, a
                publication reaches the client without any Python.

        Returns:
            Whether it was not subscribed to it before.

        Raises:
            WebSocketDisconnect: The connection has ended.
        """
    def unsubscribe(self, connection: Connection, topic: str) -> None:
        """End a subscription, if there is one."""
    def publish(self, topic: str, data: bytes, is_text: bool, exclude: int = 0) -> int:
        """Send a message to every open connection that is subscribed, by the topic or by patterns, once to each.

        Never waits: a connection that leaves more than ``outbound_limit`` unread is closed with 1013.

        Args:
            topic: The topic.
            data: The payload.
            is_text: Whether it is UTF-8 for a text message.
            exclude: Id of a connection that does not get it.

        Returns:
            To how many connections it was queued.

        Raises:
            UnicodeDecodeError: A text is not UTF-8.
        """
    def members(self, topic: str) -> list[Connection]:
        """The connections that are subscribed to a topic or pattern by that very name."""
    def count(self, topic: str) -> int:
        """How many connections a publication to the topic would reach."""
    def topics(self) -> list[str]:
        """Names of all topics and patterns that have a subscriber."""
    def topics_of(self, connection: Connection) -> list[str]:
        """Names of the topics and patterns of one connection, in the order of subscribing."""
    def subscriptions(self, connection: Connection) -> int:
        """How many topics and patterns a connection is subscribed to, without those that begin with ``$``."""

@final
class Reactor:
    """Owns a poller with every WebSocket of one event loop.

    Args:
        loop: The loop; it watches the poller's descriptor after `start`.
        connection_class: A subclass of `Connection`, called without arguments for each opening handshake.
        application: Called with the new connection for each well-formed opening handshake, from inside a batch:
            it must not block; an exception is logged and answered with 500.
        http: Called with descriptor, bytes read so far, the client's address and port (or None) and whether the
            connection came over TLS, for a connection that asks for no upgrade; it owns the descriptor from then on,
            also if it raises.
        options: Limits and times.
        hub: Topics for its connections, whose subscriptions end with them; no other reactor's.
    """

    def __new__(
        cls,
        loop: AbstractEventLoop,
        connection_class: type[Connection],
        application: Callable[[Any], None],
        http: Callable[[int, bytes, tuple[str, int] | None, bool], None] | None = None,
        options: Options | None = None,
        hub: Hub | None = None,
    ) -> Self: ...
    def start(self) -> None:
        """Begin to serve: register the poller with the loop."""
    def listen(self, descriptor: int) -> None:
        """Accept connections from a listening socket; the descriptor is duplicated."""
    def stop_listening(self) -> None:
        """Accept no more connections and close the listening descriptors; what has no opening handshake yet gets 503."""
    def adopt(
        self,
        descriptor: int,
        data: bytes | None = None,
        *,
        client: tuple[str, int] | None = None,
        is_secure: bool = False,
    ) -> None:
        """Serve a connected stream socket; the reactor owns the descriptor from then on.

        Args:
            descriptor: The socket.
            data: What was read of it already.
            client: Address and port of the client, where the socket itself does not know them.
            is_secure: Whether the connection came over TLS, which ended before this socket.
        """
    def connections(self) -> list[Connection]:
        """The connections whose opening handshake has come and that have not ended."""
    @property
    def pending(self) -> int:
        """Number of connections whose request head is awaited, or that were refused and have not gone."""
    @property
    def counters(self) -> dict[str, int]:
        """accepted, opened, closed, rejected, slow_consumers, protocol_errors, rate_limited, handshake_timeouts, ping_timeouts, compression_slices since start."""
    def close(self) -> None:
        """Close every descriptor at once, without closing handshakes, and leave the loop. Idempotent."""

@final
class ClientProtocol:
    """The client's side of the protocol without I/O, as the test client uses it.

    Args:
        target: Request target.
        host: Value of the ``Host`` header field.
        headers: Further header fields.
        subprotocols: Offered subprotocols.
        compression: Whether to offer permessage-deflate; if the server agrees, every message is sent compressed.
        max_message_size: Bytes; a larger message fails the connection with 1009.
    """

    def __new__(
        cls,
        target: str,
        host: str,
        headers: Sequence[tuple[str, str]] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: bool = False,
        max_message_size: int = 67_108_864,
    ) -> Self: ...
    def request(self) -> bytes:
        """The opening handshake to send."""
    def receive_data(self, data: bytes) -> list[tuple[Any, ...]]:
        """Take bytes from the server and return events in order.

        ``("accepted", subprotocol, headers)``, ``("rejected", status, headers)`` (what follows it are
        ``("body", bytes)``), ``("text", str)``, ``("bytes", bytes)``, ``("ping", bytes)``, ``("pong", bytes)``,
        ``("close", code or None, reason)``, ``("failed", code, explanation)`` when the server broke the protocol.
        """
    def text(self, data: str) -> bytes:
        """A text message as one masked frame."""
    def binary(self, data: bytes) -> bytes:
        """A binary message as one masked frame."""
    def ping(self, data: bytes | None = None) -> bytes: ...
    def pong(self, data: bytes | None = None) -> bytes: ...
    def close(self, code: int | None = 1000, reason: str = "") -> bytes: ...
