"""Receiving from a cluster: each topic from the node that has the slot of its channel."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from redis.crc import key_slot
from redis.exceptions import RedisError

from django_bolt.exceptions import InvalidTopic
from django_bolt.topics.brokers.outage import Backoff
from django_bolt.topics.brokers.redis.feed import Channel, Feed
from django_bolt.topics.brokers.redis.receiving import Receiver
from django_bolt.topics.brokers.redis.url import Address
from django_bolt.topics.names import is_pattern

__all__ = ["ClusterReceiver"]

logger = logging.getLogger("django_bolt.topics")

FINDING = "finding the nodes"
TURN = 500
"""Topics looked at before other work of the loop gets its turn."""


class ClusterReceiver(Receiver):
    """Has a feed at each node that some topic belongs to, and follows the topics when slots move."""

    def subscribe(self, name: str) -> None:
        """Subscribe to a topic, if it is not.

        Raises:
            InvalidTopic: It is a pattern, which the shards of a cluster cannot have.
        """
        if is_pattern(name):
            raise InvalidTopic(
                name, "a cluster has no patterns, unless the URL in BOLT['BROKER'] says ?sharded=no"
            )
        super().subscribe(name)

    async def stop(self) -> None:
        """End the connections."""
        self._finding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._finding
        for feed in self._nodes.values():
            await feed.close()
        self._nodes.clear()
        self._outage.forget(FINDING)

    def abandon(self) -> None:
        """Give up the connections in the child after a fork."""
        for feed in self._nodes.values():
            feed.abandon()

    def on_change(self, feed: Feed, channel: Channel, is_in_force: bool) -> None:
        """Look for the new node if one unsubscribes by itself: it has given the slot away."""
        super().on_change(feed, channel, is_in_force)
        if not is_in_force and channel in feed.channels:
            self.on_moved(feed)

    def on_moved(self, feed: Feed, slot: int | None = None) -> None:
        """Look which node has which slot now. The topics of a slot that was refused are to be assigned again."""
        if slot is not None:
            self._take_back(feed, slot)
        self._is_stale.set()

    def _take_back(self, feed: Feed, slot: int) -> None:
        for channel in [channel for channel in feed.channels if key_slot(channel.name) == slot]:
            name = self._name(channel)
            feed.channels.discard(channel)
            self._feeds[name] = None
            self._pending.restart([name])

    def _begin(self) -> None:
        self._nodes: dict[Address, Feed] = {}
        self._is_stale = asyncio.Event()
        self._is_stale.set()
        self._is_known = False
        self._finding = asyncio.get_running_loop().create_task(self._find())

    def _assign(self, name: str) -> None:
        self._feeds[name] = None
        if not self._is_known:
            return
        try:
            address = self._servers.locate(self._channel(name).name)  # known, so it does not block
        except RedisError:
            self._is_stale.set()
            return
        if address not in self._nodes:
            label = f"subscriptions at {address[0]}:{address[1]}"
            self._nodes[address] = Feed(self._servers, lambda: address, self, self._outage, label)
        feed = self._feeds[name] = self._nodes[address]
        feed.add(self._channel(name))

    async def _find(self) -> None:
        """Keep up with the cluster: ask it whenever something hints at a change."""
        backoff = Backoff()
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            try:
                await asyncio.to_thread(self._servers.refresh)
                self._is_known = True
                await self._follow()
            except Exception as error:
                if not isinstance(error, RedisError):
                    logger.exception("Finding the nodes of %s failed", self._outage.address)
                self._outage.begin(FINDING, error)
                self._is_stale.set()
            else:
                self._outage.end(FINDING)
                backoff.reset()
            await asyncio.sleep(backoff.pause())  # many hints come at once

    async def _follow(self) -> None:
        """Subscribe to each name where it is now, and leave nodes that have none."""
        for number, name in enumerate(list(self._feeds)):
            if number % TURN == 0:
                await asyncio.sleep(0)
            if name in self._feeds:  # not unsubscribed meanwhile
                self._follow_name(name, self._feeds[name])
        for address, feed in list(self._nodes.items()):
            if not feed.channels:
                del self._nodes[address]
                await feed.close()

    def _follow_name(self, name: str, feed: Feed | None) -> None:
        channel = self._channel(name)
        if feed is None:
            self._assign(name)
        elif self._nodes.get(self._address(channel)) is not feed:
            feed.remove(channel)
            self._pending.restart([name])
            self._assign(name)
        elif name not in self._in_force.topics and name not in self._pending:
            self._pending.add(name)
            feed.add(channel)

    def _address(self, channel: Channel) -> Address:
        try:
            return self._servers.locate(channel.name)
        except RedisError:
            return ("", 0)

    def _channel(self, name: str) -> Channel:
        return super()._channel(name)._replace(kind="S")
