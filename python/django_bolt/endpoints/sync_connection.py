"""What a ``def`` handler can read of its connection without waiting for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import QueryDict
from django.utils.datastructures import CaseInsensitiveMapping

from django_bolt.auth.identity import Identity
from django_bolt.endpoints.websocket import WebSocket, WebSocketState

if TYPE_CHECKING:
    from django_bolt.endpoints.endpoint import Endpoint

__all__ = ["SyncConnection"]


class SyncConnection:
    """The attributes of a `WebSocket`, for another thread than that of the event loop.

    Args:
        websocket: The connection.
    """

    __slots__ = ("_websocket",)

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.path} {self.state.name}>"

    @property
    def asynchronous(self) -> WebSocket:
        """The connection as coroutines use it; it belongs to the event loop's thread."""
        return self._websocket

    @property
    def id(self) -> int:
        """Number of the connection, unique in this process."""
        return self._websocket.id

    @property
    def state(self) -> WebSocketState:
        """State of the connection."""
        return self._websocket.state

    @property
    def ready_state(self) -> int:
        """The same as a number: 0 before the opening handshake was answered, 1 while open, 2 after."""
        return self._websocket.ready_state

    @property
    def was_accepted(self) -> bool:
        """Whether the connection was ever open; see `WebSocket.was_accepted`."""
        return self._websocket.was_accepted

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that serves the connection."""
        return self._websocket.endpoint

    @property
    def context(self) -> dict[str, Any]:
        """A dict for the connection's life; see `WebSocket.context`."""
        return self._websocket.context

    @property
    def identity(self) -> Identity | None:
        """What authentication found out; see `WebSocket.identity`."""
        return self._websocket.identity

    @property
    def user(self) -> Any:
        """The user, as ``request.user`` of a view: loaded when first looked at."""
        return self._websocket.user

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics and patterns that the client is subscribed to, in the order of subscribing."""
        return self._websocket.topics

    # ── the request ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def target(self) -> str:
        """Request target as sent: path and query string. It may carry a token; do not log it."""
        return self._websocket.target

    @property
    def path(self) -> str:
        """Path of the request target as sent, without the query: fit for a log."""
        return self._websocket.path

    @property
    def url(self) -> str:
        """The URL that the client connected to. The query may carry a token: do not log it."""
        return self._websocket.url

    @property
    def scheme(self) -> str:
        """``wss`` or ``ws``; see `WebSocket.scheme`."""
        return self._websocket.scheme

    @property
    def path_params(self) -> dict[str, str]:
        """Path parameters by name: their text, percent-decoded."""
        return self._websocket.path_params

    @property
    def query_params(self) -> QueryDict:
        """Query parameters, as ``request.GET`` of a view."""
        return self._websocket.query_params

    @property
    def headers(self) -> CaseInsensitiveMapping[str]:
        """Header fields of the opening handshake; names in any case."""
        return self._websocket.headers

    @property
    def raw_headers(self) -> list[tuple[str, str]]:
        """Header fields of the opening handshake in order, repeated ones too, names in lower case."""
        return self._websocket.raw_headers

    def header_values(self, name: str) -> list[str]:
        """Return the values of the header fields of a name in lower case, in order."""
        return self._websocket.header_values(name)

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name, as ``request.COOKIES`` of a view."""
        return self._websocket.cookies

    @property
    def subprotocols(self) -> list[str]:
        """Subprotocols that the client offers, best first."""
        return self._websocket.subprotocols

    @property
    def is_trusted_origin(self) -> bool:
        """Whether the page may use this site's cookies; see `WebSocket.is_trusted_origin`."""
        return self._websocket.is_trusted_origin

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client; see `WebSocket.client`."""
        return self._websocket.client

    @property
    def peer(self) -> tuple[str, int] | None:
        """Address and port of the socket's other end, which may be a proxy; None for a Unix socket."""
        return self._websocket.peer

    @property
    def server(self) -> tuple[str, int] | None:
        """Local address and port of the connection; None where it has none."""
        return self._websocket.server

    @property
    def is_secure(self) -> bool:
        """Whether the connection came over TLS to this process."""
        return self._websocket.is_secure

    @property
    def close_code(self) -> int | None:
        """Close code; 1005 if the Close frame had none, 1006 if there was no Close frame, None while open."""
        return self._websocket.close_code

    @property
    def close_reason(self) -> str:
        """Close reason."""
        return self._websocket.close_reason

    @property
    def buffered_amount(self) -> int:
        """Bytes queued for the client and not yet taken by the kernel."""
        return self._websocket.buffered_amount
