"""`WebSocket`, the object that a handler is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from django.http import QueryDict, parse_cookie
from django.utils.datastructures import CaseInsensitiveMapping

from django_bolt.auth.bearer import find_fallback, is_token_entry, split_offer
from django_bolt.compression import Compression
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.client import ClientConnection
from django_bolt.endpoints.headers import Headers, check_headers, join_headers, join_values
from django_bolt.endpoints.origin import host_of, is_origin_allowed
from django_bolt.endpoints.proxies import client_behind_proxies, is_secure_behind_proxies
from django_bolt.endpoints.slots import cached, fill
from django_bolt.exceptions import WrongState
from django_bolt.json_messages import decoder_for, encode_json
from django_bolt.topics.hub import Hub
from django_bolt.topics.names import check_subscription
from django_bolt.topics.subscriptions import Filter, Subscription, Transform, make_callback
from django_bolt.topics.users import user_topic

if TYPE_CHECKING:
    from django_bolt.endpoints.endpoint import Endpoint

__all__ = ["WebSocket", "WebSocketState"]

T = TypeVar("T")


class WebSocketState(IntEnum):
    """State of a connection, as `WebSocket.state` gives it.

    ::

        CONNECTING ── accept() ──► CONNECTED ── close(), or the client leaves ──► DISCONNECTED
             └──── close(), reject(), or the client leaves ─────────────────────────────▲
    """

    CONNECTING = 0
    """Before `accept()`."""
    CONNECTED = 1
    """After `accept()`."""
    DISCONNECTED = 2
    """After close, by either side."""


_STATES = tuple(WebSocketState)


class WebSocket(ClientConnection):
    """One client's connection, as its handler sees it.

    It begins `CONNECTING`: the opening handshake is here and waits for `accept`, `close` or `reject`. From
    `accept` on messages go both ways, until either side closes. Connections are hashable and equal only to
    themselves, so that they can be kept in a set.

    **When the client leaves**, whatever the handler awaits raises `WebSocketDisconnect`: every ``receive_*``,
    every ``iter_*`` loop (where Starlette's loop just ends), and the handler's own sends. Letting it pass is
    a normal end.

    All of it belongs to the event loop that the handler runs on; no method may be called from another thread.
    """

    __slots__ = ()

    CACHE_SLOTS: ClassVar[tuple[str, ...]] = (
        "_accepted",
        "_context",
        "_cookies",
        "_endpoint",
        "_headers",
        "_identity",
        "_path_params",
        "_query_params",
    )
    """Slots that a concrete class must add; filled when first needed, so that an idle connection is small."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.path} {self.state.name}>"

    @property
    def state(self) -> WebSocketState:
        """State of the connection."""
        return _STATES[self.ready_state]

    @property
    def was_accepted(self) -> bool:
        """Whether `accept` was called; tells a connection that has ended from one that was refused."""
        return hasattr(self, "_accepted")

    @property
    def path(self) -> str:
        """Path of the request target as sent, percent-encoded and without the query: fit for a log."""
        return self.target.partition("?")[0]

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client; None where it has none, as in tests.

        Behind a proxy in ``BOLT["TRUSTED_PROXIES"]`` it is what that proxy says, with port 0 if it names none.
        """
        return (
            client_behind_proxies(self.peer, self.headers) if bolt_settings().trusted_proxies else self.peer
        )

    @property
    def scheme(self) -> str:
        """``wss`` if the client came over TLS, here or to a proxy in ``BOLT["TRUSTED_PROXIES"]``, else ``ws``."""
        is_secure = self.is_secure or is_secure_behind_proxies(self.peer, self.headers)
        return "wss" if is_secure else "ws"

    @property
    def url(self) -> str:
        """The URL that the client connected to, such as ``ws://example.com/ws/chat?room=1``.

        The query may carry a token: do not log it.
        """
        return f"{self.scheme}://{self.headers.get('host', '')}{self.target}"

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that serves the connection."""
        return cached(self, "_endpoint", self._no_endpoint)

    @property
    def path_params(self) -> dict[str, str]:
        """Path parameters by name: their text, percent-decoded. The handler's arguments are converted."""
        return cached(self, "_path_params", dict[str, str])

    @property
    def query_params(self) -> QueryDict:
        """Query parameters, as ``request.GET`` of a view: ``["key"]`` is the last value.

        Raises:
            TooManyFieldsSent: There are more than ``DATA_UPLOAD_MAX_NUMBER_FIELDS``; before `accept`, letting
                it pass is answered with HTTP 400.
        """
        return cached(self, "_query_params", lambda: QueryDict(self.target.partition("?")[2]))

    @property
    def headers(self) -> CaseInsensitiveMapping[str]:
        """Header fields of the opening handshake, by names in any case.

        A repeated field is one value, joined by commas (RFC 9110 section 5.3); `raw_headers` has each by
        itself.
        """
        return cached(self, "_headers", lambda: CaseInsensitiveMapping(join_headers(self.raw_headers)))

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name, as ``request.COOKIES`` of a view."""
        return cached(self, "_cookies", lambda: parse_cookie(self.headers.get("cookie", "")))

    @property
    def subprotocols(self) -> list[str]:
        """Subprotocols that the client offers, best first; without ``bearer.<token>``, which is a credential."""
        return [entry for entry in self._offered() if not is_token_entry(entry)]

    @property
    def is_trusted_origin(self) -> bool:
        """Whether the page may use this site's cookies: it is of this host or of an origin that settings list.

        The ``"*"`` and ``"null"`` of ``BOLT["ALLOWED_ORIGINS"]`` do not count: any page can be that. True for a
        client that sends no origin, which is no browser.
        """
        return is_origin_allowed(
            join_values(self.header_values("origin")), host_of(self.header_values), any_counts=False
        )

    def accept(
        self, subprotocol: str | None = None, headers: Headers | None = None
    ) -> Coroutine[Any, Any, None]:
        """Accept the connection: complete the opening handshake with 101.

        Arguments are checked at the call, the rest when awaited.

        Args:
            subprotocol: One of `subprotocols`. None for none; but a client that offers ``bolt`` beside a token
                gets that, because a browser wants one accepted.
            headers: Further header fields of the response; pairs, where a name repeats.

        Raises:
            WebSocketDisconnect: The client has left.
            WrongState: The opening handshake was answered already. It is a RuntimeError.
            ValueError: The client does not offer the subprotocol, or a header field is not clean.
        """
        self._require_connecting("accept()")
        chosen = find_fallback(self._offered()) if subprotocol is None else self._checked_offer(subprotocol)
        checked = check_headers(headers)
        fill(self, "_accepted", True)
        return self.accept_handshake(chosen, checked, self._wished_compression())

    def reject(
        self, status: int = 403, body: Any = b"", headers: Headers | None = None
    ) -> Coroutine[Any, Any, None]:
        """Refuse the connection: answer the opening handshake with an HTTP response.

        A browser does not show the response to its page; to tell a page why, use `close`.

        Args:
            status: HTTP status, 200 to 599.
            body: Bytes as they are, `str` as plain text, anything else as JSON.
            headers: Further header fields of the response; a ``Content-Type`` here counts.

        Raises:
            WrongState: The opening handshake was answered already. It is a RuntimeError.
            ValueError: The status is out of range, or a header field is not clean.
            TypeError: The body has no JSON form.
        """
        self._require_connecting("reject()")
        if not 200 <= status <= 599:
            raise ValueError(f"Status {status} cannot end an opening handshake: use 200 to 599")
        content_type, content = _encode_body(body)
        pairs = check_headers(headers)
        if content_type and all(name.lower() != "content-type" for name, _ in pairs):
            pairs.append(("Content-Type", content_type))
        return self.reject_handshake(status, pairs, content)

    def send_json(self, data: Any) -> Coroutine[Any, Any, None]:
        """Send data as JSON in a text message; otherwise as `send_text`.

        Besides what JSON knows: dataclasses, `msgspec.Struct`, Pydantic models, sets, `datetime`, `UUID`, `Decimal`,
        `Enum`, Django's lazy strings. Encoded at the call.

        Raises:
            TypeError: Some of it has no JSON form.
            WebSocketDisconnect: The connection has ended (in its own handler only).
        """
        return self.send_encoded(encode_json(data))

    @overload
    def receive_json(self) -> Coroutine[Any, Any, Any]: ...
    @overload
    def receive_json(self, *, type: type[T]) -> Coroutine[Any, Any, T]: ...
    @overload
    def receive_json(self, *, type: Any) -> Coroutine[Any, Any, Any]: ...
    def receive_json(self, *, type: Any = Any) -> Coroutine[Any, Any, Any]:  # noqa: A002 - documented name
        """Receive a message of either kind and decode it as JSON; otherwise as `receive`.

        Args:
            type: What to decode into and check against: a `msgspec.Struct`, a dataclass, a TypedDict, a Pydantic
                model, a list or a union of such. A type checker knows the result for a class; for a union it takes
                it as Any.

        Raises:
            InvalidMessage: The message is no JSON, or does not fit the type. It is consumed: the handler may
                catch this and go on. Unhandled, it closes the connection with 1007.
            WebSocketDisconnect: The connection has ended.
            TypeError: At the call: no message can be decoded into the type.
        """
        return self.receive_decoded(decoder_for(type))

    @overload
    def iter_json(self) -> AsyncIterator[Any]: ...
    @overload
    def iter_json(self, *, type: type[T]) -> AsyncIterator[T]: ...
    @overload
    def iter_json(self, *, type: Any) -> AsyncIterator[Any]: ...
    def iter_json(self, *, type: Any = Any) -> AsyncIterator[Any]:  # noqa: A002 - documented name
        """Iterate over messages, each received as by `receive_json`.

        When the client leaves, the loop raises WebSocketDisconnect, as `iter_text` does. An InvalidMessage
        ends the loop; a new one, or `receive_json`, goes on with the next message.
        """
        return self.iter_decoded(decoder_for(type))

    def subscribe(
        self,
        *topics: str,
        patterns: Iterable[str] = (),
        filter: Filter | None = None,  # noqa: A002 - documented name
        transform: Transform | None = None,
    ) -> Subscription:
        """Subscribe the client to topics: what is published on them is sent to it, without the handler.

        It takes effect at the call, and lasts until `unsubscribe` or the end of the connection::

            async with websocket.subscribe(f"room:{room_id}"):
                async for message in websocket.iter_text():
                    await apublish(f"room:{room_id}", message)

        Await it, or use it in ``async with``, to be sure that what other processes publish from then on arrives.
        Before `accept` nothing is sent. Who is subscribed several times gets a message once. Subscribing again replaces
        the filter and the transformation.

        Args:
            topics: Names of topics.
            patterns: Names that end with ``*`` and stand for every topic that begins so; apart, so that no name that
                contains what a client sent becomes a pattern.
            filter: Called with each message (`str` or `bytes`); returns whether to send it.
            transform: Called with each message; returns what to send instead, or None for nothing: `str`, `bytes`, or
                anything that has a JSON form. Both run for this client alone, in the thread that publishes.

        Raises:
            InvalidTopic: A name breaks a rule.
            TooManySubscriptions: They would be more than ``MAX_SUBSCRIPTIONS``.
            TypeError: No topic is named, or a filter or transformation is no function, or a coroutine function.
            WebSocketDisconnect: The connection has ended.
        """
        if not topics and not patterns:
            raise TypeError("subscribe() needs at least one topic or pattern")
        callback = make_callback(self, filter, transform)
        return Subscription(self._require_hub(), self, topics, patterns, callback)

    async def unsubscribe(self, *names: str) -> None:
        """End subscriptions, whoever began them; without names, all those of the handler.

        It takes effect when awaited. What has been published before is still sent.

        Args:
            names: Topics and patterns. Those that the client is not subscribed to are left out.

        Raises:
            InvalidTopic: A name breaks a rule, and nothing was unsubscribed. What a client names can thus not be the
                topic of its user, by which it is disconnected.
        """
        hub, connection = self._require_hub(), cast(Any, self)
        for name in [check_subscription(name) for name in names] or self.topics:
            hub.unsubscribe(connection, name)

    def subscribe_user(self) -> None:
        """Subscribe the client to what is published to its user, if it has one; called once it is admitted."""
        key, hub = self.identity.key if self.identity else None, self.hub
        if key is not None and hub is not None:
            hub.subscribe(cast(Any, self), user_topic(key))

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics and patterns that the client is subscribed to, in the order of subscribing."""
        names = self.hub.topics_of(cast(Any, self)) if self.hub else ()
        return tuple(name for name in names if not name.startswith("$"))

    def bind(self, endpoint: Endpoint, path_params: dict[str, str]) -> None:
        """Note which endpoint serves the connection; called once, by the dispatcher."""
        fill(self, "_endpoint", endpoint)
        if path_params:
            fill(self, "_path_params", path_params)

    def release_request(self) -> None:
        """Drop what was parsed of the request; it is parsed again when asked for.

        Called before the handler: what authentication looked at would else stay as long as the connection.
        """
        for slot in ("_cookies", "_headers", "_query_params"):
            if hasattr(self, slot):
                delattr(self, slot)

    def _offered(self) -> list[str]:
        # Straight from the fields: those that were parsed are dropped before the handler runs.
        fields = self.header_values("sec-websocket-protocol")
        return split_offer(",".join(fields)) if fields else []

    def _checked_offer(self, subprotocol: str) -> str:
        if is_token_entry(subprotocol):
            raise ValueError("A token among the subprotocols is a credential, and cannot be accepted")
        offered = self.subprotocols
        if subprotocol not in offered:
            listed = ", ".join(offered) or "none"
            raise ValueError(f"Subprotocol {subprotocol!r} was not offered by the client; offered: {listed}")
        return subprotocol

    def _wished_compression(self) -> Compression | None:
        endpoint: Endpoint | None = getattr(self, "_endpoint", None)
        return endpoint.wished_compression() if endpoint else bolt_settings().compression

    def _require_hub(self) -> Hub:
        hub = self.hub
        if hub is None:
            raise WrongState("subscribe()", "served with topics", "served without a hub")
        return hub

    def _no_endpoint(self) -> Endpoint:
        raise WrongState("endpoint", "routed", "not routed")

    def _require_connecting(self, operation: str) -> None:
        # A client that left is for the engine to report, which knows whether it did or the handler closed.
        if self.ready_state == WebSocketState.CONNECTED:
            raise WrongState(operation, WebSocketState.CONNECTING.name, WebSocketState.CONNECTED.name)


def _encode_body(body: Any) -> tuple[str | None, bytes]:
    if isinstance(body, bytes | bytearray | memoryview):
        return None, bytes(body)
    if isinstance(body, str):
        return "text/plain; charset=utf-8", body.encode()
    return "application/json", encode_json(body)
