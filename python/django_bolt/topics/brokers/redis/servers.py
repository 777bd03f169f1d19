"""Finding the server of a channel, and connecting to it. Everything here may block."""

from __future__ import annotations

import random
import threading
import time
from typing import Any, cast

from redis.asyncio import Connection as AsyncConnection
from redis.asyncio import SSLConnection as AsyncSSLConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from django_bolt.topics.brokers.redis.url import Address, RedisURL

__all__ = ["ClusterServers", "Servers", "make_servers"]

REFRESH_INTERVAL = 0.1
"""Seconds that the map of a cluster is held to be new, whoever asks."""


class Servers:
    """One server, at an address that stays.

    Args:
        url: Says where, and how to connect.
        timeout: Seconds for connecting, and for each answer.
    """

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self.url = url
        self.timeout = timeout

    def locate(self, channel: bytes) -> Address:
        """Return where a channel is published and subscribed.

        Raises:
            RedisError: It cannot be found out.
        """
        return self.url.hosts[0]

    def refresh(self) -> None:
        """Forget what may have changed: a server has refused, or is away.

        Raises:
            RedisError: What is true now cannot be found out.
        """

    def follow(self, moved: AskError) -> None:
        """Heed a node that names another as that of a slot."""

    def nodes(self) -> frozenset[Address]:
        """Return the nodes of a cluster, as far as they are known."""
        return frozenset()

    def connect(self, address: Address) -> Connection:
        """Return a connection.

        Raises:
            RedisError: There can be none.
        """
        connection = self.make_connection(address)
        try:
            connection.connect()
        except RedisError:
            connection.disconnect()
            raise
        except (
            OSError,
            ValueError,
        ) as error:  # such as a certificate's file that is missing, or an impossible host
            connection.disconnect()
            raise RedisConnectionError(str(error)) from error
        return connection

    def make_connection(self, address: Address) -> Connection:
        """Return a connection that is not made yet."""
        kind = SSLConnection if self.url.has_tls else Connection
        return kind(**self._arguments(address), socket_timeout=self.timeout, retry=Retry(NoBackoff(), 0))

    def make_async_connection(self, address: Address) -> AsyncConnection:
        """Return a connection for an event loop that is not made yet; its reads wait for as long as it takes."""
        kind = AsyncSSLConnection if self.url.has_tls else AsyncConnection
        return kind(**self._arguments(address), socket_timeout=None, retry=AsyncRetry(NoBackoff(), 0))

    def _arguments(self, address: Address) -> dict[str, Any]:
        host, port = address
        return {
            "host": host,
            "port": port,
            "protocol": 2,
            "socket_connect_timeout": self.timeout,
            "socket_keepalive": True,
            **self.url.connection,
        }


class SentinelServers(Servers):
    """The server that the sentinels hold for the primary."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        super().__init__(url, timeout)
        self._address: Address | None = None

    def locate(self, channel: bytes) -> Address:
        """Return the primary; asks the sentinels if it is not known."""
        address = self._address = self._address or self._ask()
        return address

    def refresh(self) -> None:
        """Ask again the next time."""
        self._address = None

    def _ask(self) -> Address:
        options = {
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.timeout,
            "protocol": 2,
            "ssl": self.url.has_tls,
            "retry": Retry(NoBackoff(), 0),
            **self.url.sentinel,
        }
        sentinel = Sentinel(list(self.url.hosts), sentinel_kwargs=options)
        try:
            return cast(Address, sentinel.discover_master(self.url.service))
        except MasterNotFoundError:
            hosts = ", ".join(f"{host}:{port}" for host, port in self.url.hosts)
            message = f"no sentinel at {hosts} names a primary for {self.url.service!r}"
            raise RedisConnectionError(message) from None
        finally:
            for client in sentinel.sentinels:
                client.close()


class ClusterServers(Servers):
    """The nodes of a cluster, each of which has some of the slots that channels fall into."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        super().__init__(url, timeout)
        self._lock = threading.Lock()
        self._refreshed = -REFRESH_INTERVAL
        self._nodes: tuple[Address, ...] = ()
        self._slots: list[Address | None] = []

    def locate(self, channel: bytes) -> Address:
        """Return the node that has the slot of a channel; asks the cluster if that is not known yet."""
        if not self._slots:
            self.refresh()
        address = self._slots[key_slot(channel)]
        if address is None:
            raise RedisConnectionError(f"no node of the cluster has slot {key_slot(channel)}")
        return address

    def refresh(self) -> None:
        """Ask the cluster which node has which slot."""
        with self._lock:
            if time.monotonic() - self._refreshed < REFRESH_INTERVAL:
                return
            self._read(self._ask())
            self._refreshed = time.monotonic()

    def follow(self, moved: AskError) -> None:
        """Heed a node that knows more than the one that was asked for all slots."""
        if moved.host and self._slots:
            with self._lock:
                self._slots[moved.slot_id] = address = (moved.host, moved.port)
                self._nodes = tuple({*self._nodes, address})
        else:
            self._refreshed = -REFRESH_INTERVAL

    def nodes(self) -> frozenset[Address]:
        """Return those that have slots."""
        return frozenset(self._nodes)

    def _ask(self) -> list[Any]:
        """Return the answer of the first node that gives one; each range has its first and last slot and nodes."""
        errors: list[RedisError] = []
        candidates = list(self._nodes)
        random.shuffle(candidates)
        for address in dict.fromkeys((*candidates, *self.url.hosts)):
            try:
                connection = self.connect(address)
                try:
                    connection.send_command("CLUSTER", "SLOTS")
                    return [(address, entry) for entry in connection.read_response()]
                finally:
                    connection.disconnect()
            except RedisError as error:
                errors.append(error)
        raise errors[-1]

    def _read(self, ranges: list[Any]) -> None:
        slots: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for (asked, _), (first, last, primary, *_) in ranges:
            # A node that does not know its name, or is told not to say it, is reached as the one that was asked.
            address = ((primary[0] or b"").decode() or asked, primary[1])
            slots[first : last + 1] = [address] * (last + 1 - first)
        self._nodes = tuple({address for address in slots if address})
        self._slots = slots


class AnyNodeServers(ClusterServers):
    """A cluster that carries every publication to all its nodes: any one will do, as long as it is there."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        super().__init__(url, timeout)
        self._chosen: Address | None = None

    def locate(self, channel: bytes) -> Address:
        """Return the node in use."""
        if self._chosen is None:
            self.refresh()
        if self._chosen is None:
            raise RedisConnectionError("no node of the cluster has slots")
        return self._chosen

    def refresh(self) -> None:
        """Choose another node."""
        super().refresh()
        others = [address for address in self._nodes if address != self._chosen]
        self._chosen = random.choice(others) if others else self._chosen


def make_servers(url: RedisURL, timeout: float) -> Servers:
    """Make what finds the servers of a URL."""
    if url.kind == "sentinel":
        return SentinelServers(url, timeout)
    if url.kind == "cluster":
        return (ClusterServers if url.sharded else AnyNodeServers)(url, timeout)
    return Servers(url, timeout)
