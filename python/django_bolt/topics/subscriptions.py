"""What `WebSocket.subscribe` returns."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Self

from django_bolt.conf import bolt_settings
from django_bolt.exceptions import BrokerUnavailable, InvalidTopic, TooManySubscriptions
from django_bolt.json_messages import encode_json
from django_bolt.topics.hub import Hub
from django_bolt.topics.names import check_subscription, check_topic, is_pattern

__all__ = ["Filter", "Subscription", "Transform", "make_callback"]

logger = logging.getLogger("django_bolt.topics")

Filter = Callable[[str | bytes], bool]
Transform = Callable[[str | bytes], Any]
_Callback = Callable[[str | bytes], str | bytes | None]


class Subscription:
    """Topics that a connection is subscribed to, from the call of `WebSocket.subscribe` on.

    Await it to be sure that what other processes publish from now on arrives, too; or use it in ``async with``, whose
    end unsubscribes what it has subscribed.

    Args:
        hub: The hub of the connection's server.
        connection: The connection, as an object of the native core.
        topics: Names of topics.
        patterns: Names that end with ``*``.
        callback: As `make_callback` gives it.

    Raises:
        InvalidTopic: A name breaks a rule.
        TooManySubscriptions: They would be more than ``MAX_SUBSCRIPTIONS``.
        WebSocketDisconnect: The connection has ended.
    """

    __slots__ = ("_added", "_connection", "_hub", "topics")

    def __init__(
        self,
        hub: Hub,
        connection: Any,
        topics: Iterable[str],
        patterns: Iterable[str] = (),
        callback: _Callback | None = None,
    ) -> None:
        self.topics = (*map(check_topic, topics), *map(_check_pattern, patterns))
        self._hub = hub
        self._connection = connection
        self._added: list[str] = []
        limit = bolt_settings().max_subscriptions
        if limit is not None and len(self.topics) > limit:
            raise TooManySubscriptions(limit)
        for name in self.topics:
            self._add(name, callback)
        if limit is not None and hub.subscriptions(connection) > limit:
            self.unsubscribe()
            raise TooManySubscriptions(limit)

    def __repr__(self) -> str:
        return f"<Subscription of connection {self._connection.id} to {', '.join(self.topics)}>"

    def _add(self, name: str, callback: _Callback | None) -> None:
        try:
            is_new = self._hub.subscribe(self._connection, name, callback)
        except InvalidTopic:  # a name that the broker cannot have
            self._hub.unsubscribe(self._connection, name)
            self.unsubscribe()
            raise
        if is_new:
            self._added.append(name)

    def unsubscribe(self) -> None:
        """End what this has subscribed; what was subscribed before stays."""
        for name in self._added:
            self._hub.unsubscribe(self._connection, name)
        self._added.clear()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        try:
            await self._hub.broker.synced(*self.topics)
        except BrokerUnavailable as error:
            # What this process publishes arrives; the rest will, when the outage is over.
            logger.warning("Subscribed without the broker: %s", error)

    async def __aenter__(self) -> Self:
        await self
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.unsubscribe()


def make_callback(connection: Any, keep: Filter | None, transform: Transform | None) -> _Callback | None:
    """Make one function of a filter and a transformation; what they raise is logged, and nothing is sent.

    Raises:
        TypeError: One of them is no function, or is a coroutine function: publishing does not wait.
    """
    for name, function in (("filter", keep), ("transform", transform)):
        if function is not None:
            _check_function(name, function)
    if keep is None and transform is None:
        return None

    def callback(message: str | bytes) -> str | bytes | None:
        try:
            if keep is not None and not keep(message):
                return None
            return message if transform is None else _encode(transform(message))
        except Exception:
            logger.exception("Connection %d: the filter or transformation of a subscription failed", number)
            return None

    number = connection.id
    return callback


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name} must be a function, not {function!r}")
    # A coroutine would count as true: a filter that is never asked would let everything through.
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise TypeError(f"{name} is a coroutine function, {function!r}; a plain function is needed")


def _encode(message: Any) -> str | bytes | None:
    if isinstance(message, str) and not message.isascii():
        message.encode()  # Fails here, and for this client alone, if the text has no UTF-8.
    if message is None or isinstance(message, str | bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    return encode_json(message).decode()


def _check_pattern(name: str) -> str:
    if not is_pattern(check_subscription(name)):
        raise InvalidTopic(name, "a pattern must end with *")
    return name
