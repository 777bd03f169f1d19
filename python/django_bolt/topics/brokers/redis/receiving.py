"""Receiving from one server: which names are subscribed, and what of it is in force."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from django_bolt.exceptions import BrokerUnavailable, InvalidPublication
from django_bolt.topics.brokers.base import Deliver
from django_bolt.topics.brokers.drops import DropReason, Drops
from django_bolt.topics.brokers.interests import Interests
from django_bolt.topics.brokers.outage import Outage
from django_bolt.topics.brokers.redis.feed import Channel, Feed
from django_bolt.topics.brokers.redis.pending import Pending
from django_bolt.topics.brokers.redis.servers import Servers
from django_bolt.topics.names import is_pattern
from django_bolt.topics.publication import decode

__all__ = ["Receiver"]


class Receiver:
    """Subscribes at one server, and hands out what it sends. Made on the loop, and belongs to it.

    Args:
        servers: Find it.
        outage: Is told of losses.
        drops: Counts what is no publication.
        hand_out: Called for each publication.
    """

    def __init__(self, servers: Servers, outage: Outage, drops: Drops, hand_out: Deliver) -> None:
        self._servers = servers
        self._outage = outage
        self._drops = drops
        self._hand_out = hand_out
        self._prefix = servers.url.prefix
        self._offset = len(self._prefix.encode())
        self._feeds: dict[str, Feed | None] = {}  # of each name that is wanted; None: to be found
        self._in_force = Interests()
        self._pending = Pending()
        self._begin()

    def subscribe(self, name: str) -> None:
        """Subscribe to a topic or a pattern, if it is not."""
        if name not in self._feeds:
            self._pending.add(name)
            self._assign(name)

    def unsubscribe(self, name: str) -> None:
        """Undo `subscribe`."""
        feed = self._feeds.pop(name, None)
        if feed is None:
            self._pending.forget(name)
        else:
            self._pending.release(name)
            feed.remove(self._channel(name))

    async def synced(self, names: Iterable[str]) -> None:
        """Wait until names, or all, are in force.

        Raises:
            BrokerUnavailable: They are not in time.
        """
        try:
            async with asyncio.timeout(self._servers.timeout):
                await self._pending.wait(names)
        except TimeoutError:
            raise BrokerUnavailable(self._outage.address, "subscriptions are not in force yet") from None

    async def stop(self) -> None:
        """End the connection."""
        await self._feed.close()

    def abandon(self) -> None:
        """Give up the connection in the child after a fork."""
        self._feed.abandon()

    def on_message(self, payload: bytes, channel: bytes, pattern: bytes | None) -> None:
        """Hand out a publication."""
        try:
            publication = decode(payload)
            if publication.topic.encode() != channel[self._offset :]:
                raise InvalidPublication("its topic is not that of its channel")
        except InvalidPublication as error:
            self._drops.add(DropReason.INVALID, f"from {self._outage.address}: {error}")
            return
        if pattern is None or self._comes_first(self._name(Channel("P", pattern)), publication.topic):
            self._hand_out(publication)

    def on_change(self, feed: Feed, channel: Channel, is_in_force: bool) -> None:
        """Keep in mind what the server sends, by its answers: they come in order with the publications."""
        name = self._name(channel)
        if (self._feeds.get(name) or feed) is not feed:
            return
        if is_in_force:
            self._in_force.add(name)
            self._pending.confirm(name)
        else:
            self._in_force.discard(name)

    def on_restart(self, feed: Feed) -> None:
        """Wait for all answers again: the feed subscribes anew."""
        self._pending.restart([name for name, its in self._feeds.items() if its is feed])
        # Also of names that are not wanted any more, and whose answers will not come.
        for name in [name for name in self._in_force if self._feeds.get(name) in (None, feed)]:
            self._in_force.discard(name)
        for name in self._pending.names():
            if name not in self._feeds:
                self._pending.forget(name)

    def on_moved(self, feed: Feed, slot: int | None = None) -> None:
        """Do nothing: there is one server."""

    def _begin(self) -> None:
        self._feed = Feed(self._servers, lambda: self._servers.locate(b""), self, self._outage)

    def _assign(self, name: str) -> None:
        """Have a feed subscribe to a name."""
        self._feeds[name] = self._feed
        self._feed.add(self._channel(name))

    def _comes_first(self, pattern: str, topic: str) -> bool:
        """Whether a publication is to be taken that came by a pattern.

        The server sends it once for each subscription that matches: take that of the topic, or else of the first
        pattern.
        """
        if topic in self._in_force.topics:
            return False
        return pattern == min(self._in_force.matching(topic), default=None)

    def _channel(self, name: str) -> Channel:
        if is_pattern(name):
            escaped = re.sub(r"([\\*?\[\]])", r"\\\1", self._prefix + name[:-1])
            return Channel("P", f"{escaped}*".encode())
        return Channel("", (self._prefix + name).encode())

    def _name(self, channel: Channel) -> str:
        name = (
            re.sub(rb"\\(.)", rb"\1", channel.name, flags=re.DOTALL) if channel.kind == "P" else channel.name
        )
        return name[self._offset :].decode()
