"""`Hub`: the topics of one server, and its broker.

What it needs of an engine it leaves to a class beside it, as `endpoints.connection` does; the native core is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django_bolt.topics.brokers import Broker
from django_bolt.topics.publication import Publication

__all__ = ["CONTROL_TOPIC", "Hub", "running_hubs"]

CONTROL_TOPIC = "$control"
"""Carries events of the library from process to process."""

_running: list[Hub] = []


def running_hubs() -> tuple[Hub, ...]:
    """Return the hubs that run in this process: that of the server, or those of test clients."""
    return tuple(_running)


# The child of a fork has no server: its copies of the sockets belong to the parent's clients.
os.register_at_fork(after_in_child=_running.clear)


class Hub:
    """Delivers publications to the subscribers of one server, its own and those that the broker brings.

    Subscriptions belong on the server's event loop; `deliver` may be called from any thread.

    Args:
        broker: Connects it with other processes; started and stopped with the hub.
        control: Called on the loop with each publication on `CONTROL_TOPIC` that comes from another process.
    """

    def __init__(self, broker: Broker, control: Callable[[Hub, Publication], None]) -> None:
        self.broker = broker
        self._control = control

    async def start(self) -> None:
        """Begin to exchange publications with other processes, on the running loop.

        Raises:
            BrokerUnavailable: The broker cannot work at all. An outage is none of that: it goes on trying.
        """
        await self.broker.start(self._receive)
        self.broker.subscribe(CONTROL_TOPIC)
        _running.append(self)

    async def stop(self) -> None:
        """Hand over what was published, and let go of the broker. Idempotent."""
        if self in _running:
            _running.remove(self)
            await self.broker.stop()

    def interest_changed(self, topic: str, wanted: bool) -> None:
        """Tell the broker of the first subscriber of a topic, and of the end of the last one."""
        if self not in _running:
            return
        if wanted:
            self.broker.subscribe(topic)
        else:
            self.broker.unsubscribe(topic)

    def deliver(self, publication: Publication) -> int:
        """Queue a publication for every subscriber of this server; returns for how many."""
        exclude = publication.exclude or 0
        return self.publish(publication.topic, publication.data, publication.is_text, exclude)

    def subscribe(
        self, connection: Any, topic: str, callback: Callable[[str | bytes], str | bytes | None] | None = None
    ) -> bool:
        """Subscribe a connection until it unsubscribes or ends; see the stub of the native core.

        Returns:
            Whether it was not subscribed to it before.

        Raises:
            WebSocketDisconnect: The connection has ended.
        """
        raise NotImplementedError

    def unsubscribe(self, connection: Any, topic: str) -> None:
        """End a subscription, if there is one."""
        raise NotImplementedError

    def publish(self, topic: str, data: bytes, is_text: bool, exclude: int = 0) -> int:
        """Send a message to every connection that is subscribed, once to each; returns to how many."""
        raise NotImplementedError

    def members(self, topic: str) -> list[Any]:
        """Return the connections that are subscribed to a topic or pattern by that very name."""
        raise NotImplementedError

    def topics_of(self, connection: Any) -> list[str]:
        """Return the topics and patterns of a connection, in the order of subscribing."""
        raise NotImplementedError

    def subscriptions(self, connection: Any) -> int:
        """Return how many topics and patterns a connection has, without the library's own."""
        raise NotImplementedError

    def _receive(self, publication: Publication) -> None:
        if publication.topic == CONTROL_TOPIC:
            self._control(self, publication)
        else:
            # What was excluded was a connection of the process that published.
            self.publish(publication.topic, publication.data, publication.is_text)
