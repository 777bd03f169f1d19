"""What `SyncWebSocket.subscribe` returns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from django_bolt.exceptions import WebSocketDisconnect
from django_bolt.topics.subscriptions import Subscription

__all__ = ["SyncSubscription"]


class SyncSubscription:
    """Topics that a connection is subscribed to. The end of a ``with`` unsubscribes what this has subscribed.

    Args:
        subscription: What it stands for.
        call: Has the event loop call and await a function, and waits for it.
    """

    __slots__ = ("_call", "_subscription")

    def __init__(self, subscription: Subscription, call: Callable[[Callable[[], Any]], Any]) -> None:
        self._subscription = subscription
        self._call = call

    def __repr__(self) -> str:
        return repr(self._subscription)

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics and patterns."""
        return self._subscription.topics

    def unsubscribe(self) -> None:
        """End what this has subscribed; what was subscribed before stays."""
        self._call(self._unsubscribe)

    async def _unsubscribe(self) -> None:
        self._subscription.unsubscribe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(WebSocketDisconnect):  # The server is gone, and all subscriptions with it.
            self.unsubscribe()
