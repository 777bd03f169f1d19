"""The broker through a Redis or Valkey server."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from redis.exceptions import RedisError

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable, WrongState
from django_bolt.topics.brokers.base import Broker, BrokerStatus, Deliver
from django_bolt.topics.brokers.outage import Outage
from django_bolt.topics.brokers.redis.cluster import ClusterReceiver
from django_bolt.topics.brokers.redis.exchange import Entry
from django_bolt.topics.brokers.redis.receiving import Receiver
from django_bolt.topics.brokers.redis.sending import Sender
from django_bolt.topics.brokers.redis.servers import make_servers
from django_bolt.topics.brokers.redis.url import parse_url
from django_bolt.topics.process import call_at_exit
from django_bolt.topics.publication import Publication, encode

__all__ = ["RedisBroker"]


class RedisBroker(Broker):
    """Publishes by ``PUBLISH``, or on a cluster by ``SPUBLISH``, and subscribes to the channels of its topics.

    A process has one connection for publishing and one for subscriptions, or on a cluster one to each node that
    its topics belong to. ``BROKER_OUTAGE`` says what publishing does while the server is away.
    """

    def __init__(self, url: str, settings: BoltSettings) -> None:
        super().__init__(url, settings)
        self._parsed = parse_url(url)
        self._outage = Outage(str(self._parsed))
        self._sender = self._make_sender()
        self._receiver: Receiver | None = None
        call_at_exit(self._sender.end)

    async def start(self, deliver: Deliver) -> None:
        if self._receiver is not None:
            raise WrongState("start", "stopped", "started")
        self.deliver = deliver
        self._sender.open()
        servers = make_servers(self._parsed, self.settings.broker_timeout)
        kind = ClusterReceiver if self._parsed.sharded else Receiver
        self._receiver = kind(servers, self._outage, self.drops, self.hand_out)

    async def stop(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.stop()
        self.deliver = None
        self.interests.clear()
        await asyncio.to_thread(self._sender.close)
        self.drops.log_rest()

    def subscribe(self, name: str) -> None:
        if self._receiver is None:
            raise WrongState("subscribe", "started", "stopped")
        self._receiver.subscribe(name)
        self.interests.add(name)

    def unsubscribe(self, name: str) -> None:
        self.interests.discard(name)
        if self._receiver is not None:
            self._receiver.unsubscribe(name)

    async def synced(self, *names: str) -> None:
        if self._receiver is not None:
            await self._receiver.synced(names)

    def publish_soon(self, publication: Publication) -> None:
        self._sender.send_soon(self._entry(publication))

    def publish(self, publication: Publication) -> None:
        self._sender.send(self._entry(publication))

    async def apublish(self, publication: Publication) -> None:
        entry = self._entry(publication)
        if not self._sender.has_room(len(entry.payload)):
            await asyncio.to_thread(self._sender.send, entry)
            return
        future: Future[None] = Future()
        entry.future = future
        self._sender.send_soon(entry)
        try:
            async with asyncio.timeout(self.settings.broker_timeout):
                await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._sender.no_answer() from None

    def check(self) -> None:
        servers = make_servers(self._parsed, self.settings.broker_timeout)
        try:
            connection = servers.connect(servers.locate(b""))
            try:
                connection.send_command("PING")
                connection.read_response()
            finally:
                connection.disconnect()
        except RedisError as error:
            raise BrokerUnavailable(str(self._parsed), str(error)) from error

    def status(self) -> BrokerStatus:
        return BrokerStatus(
            available=not self._outage.is_on,
            outages=self._outage.count,
            seconds_away=self._outage.seconds,
            queued=self._sender.queued,
            subscriptions=len(self.interests),
            drops=self.drops.counts(),
        )

    def _make_sender(self) -> Sender:
        servers = make_servers(self._parsed, self.settings.broker_timeout)
        return Sender(servers, self.settings, self._outage, self.drops)

    def _entry(self, publication: Publication) -> Entry:
        self.check_size(publication)
        return Entry((self._parsed.prefix + publication.topic).encode(), encode(publication))

    def renew(self) -> None:
        self._outage.renew()
        if self._receiver is not None:
            self._receiver.abandon()
            self._receiver = None
        super().renew()
        self._sender.renew()
