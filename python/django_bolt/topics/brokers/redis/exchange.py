"""Publishing many publications at once, over blocking connections. For one thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from redis.connection import Connection
from redis.exceptions import AskError, ClusterDownError, RedisError, ResponseError, TryAgainError

from django_bolt.topics.brokers.outage import Outage
from django_bolt.topics.brokers.redis.servers import Servers
from django_bolt.topics.brokers.redis.url import Address

__all__ = ["Entry", "Exchange", "Outcome", "Result"]

FINDING = "finding the server"
IDLE = 10.0
"""Seconds after which a connection is tried before it is used: something on the way may have forgotten it."""
MOVES = 5
"""Times that a publication follows the slot of its channel from node to node."""
PAUSE = 1.0
"""Seconds in which a node that could not be reached is not tried again: it would hold up the others."""


@dataclass(slots=True, eq=False)
class Entry:
    """A publication on its way.

    Attributes:
        channel: Where.
        payload: What.
        future: Of whoever waits for the answer; None: nobody does.
        moves: Times that a node has sent it to another.
    """

    channel: bytes
    payload: bytes
    future: Future[None] | None = None
    moves: int = 0

    def is_wanted(self) -> bool:
        """Return whether it is still to be published: whoever waits for it may have given up."""
        if self.future is None or (self.future.done() and not self.future.cancelled()):
            return True
        return self.future.set_running_or_notify_cancel()

    def succeed(self) -> None:
        """Tell whoever waits for it that it was taken."""
        if self.future is not None and not self.future.done():
            with contextlib.suppress(InvalidStateError):  # cancelled by another thread just now
                self.future.set_result(None)


class Outcome(Enum):
    """What became of an entry."""

    CONFIRMED = 1
    REFUSED = 2  # by the server
    UNSENT = 3  # no server has got it
    UNCONFIRMED = 4  # a server may have got it


class Result(NamedTuple):
    """What became of which entry, and why."""

    entry: Entry
    outcome: Outcome
    error: RedisError | None = None


class Exchange:
    """The connections to the servers, one to each.

    Args:
        servers: Finds them.
        outage: Is told when one is lost.
    """

    def __init__(self, servers: Servers, outage: Outage) -> None:
        self._servers = servers
        self._outage = outage
        self._command = "SPUBLISH" if servers.url.sharded else "PUBLISH"
        self._lost: set[Address] = set()
        self._links: dict[Address, tuple[Connection, float]] = {}
        self._unreachable: dict[Address, tuple[RedisError, float]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to any server."""
        return bool(self._links)

    def publish(self, entries: Iterable[Entry]) -> list[Result]:
        """Publish entries, in their order for each channel, and wait for the answers."""
        results: list[Result] = []
        moved: list[Entry] = []
        sent = [
            (address, group)
            for address, group in self._by_server(entries, results).items()
            if self._send(address, group, results)
        ]
        for address, group in sent:
            self._receive(address, group, results, moved)
        if moved:
            results += self.publish(moved)
        return results

    def refresh(self) -> None:
        """Find out anew where the servers are."""
        with contextlib.suppress(RedisError):
            self._servers.refresh()
            gone = self._lost - self._servers.nodes() if self._servers.url.sharded else ()
            for address in gone:
                self._lost.remove(address)
                self._outage.forget(self._label(address))

    def probe(self) -> None:
        """Connect to a server, if there is any to be reached.

        Raises:
            RedisError: There is none.
        """
        self._unreachable.clear()
        self.refresh()
        address = self._locate(b"")
        others = self._servers.nodes() - {address} if self._servers.url.sharded else ()
        for other in others:
            with contextlib.suppress(RedisError):
                self._link(other)
                return
        self._link(address)

    def close(self) -> None:
        """End the connections; in the child after a fork too, where this leaves the parent's alone."""
        for connection, _ in self._links.values():
            connection.disconnect()
        self._links.clear()
        for label in (FINDING, *map(self._label, self._lost)):
            self._outage.forget(label)
        self._lost.clear()

    def _by_server(self, entries: Iterable[Entry], results: list[Result]) -> dict[Address, list[Entry]]:
        groups: dict[Address, list[Entry]] = {}
        for entry in entries:
            try:
                groups.setdefault(self._locate(entry.channel), []).append(entry)
            except RedisError as error:
                results.append(Result(entry, Outcome.UNSENT, error))
        return groups

    def _locate(self, channel: bytes) -> Address:
        try:
            address = self._servers.locate(channel)
        except RedisError as error:
            self._outage.begin(FINDING, error)
            raise
        self._outage.end(FINDING)
        return address

    def _send(self, address: Address, group: list[Entry], results: list[Result]) -> bool:
        try:
            connection = self._link(address)
        except RedisError as error:
            results += [Result(entry, Outcome.UNSENT, error) for entry in group]
            return False
        commands = [(self._command, entry.channel, entry.payload) for entry in group]
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        except RedisError as error:
            self._lose(address, error)
            results += [Result(entry, Outcome.UNCONFIRMED, error) for entry in group]
            return False
        return True

    def _receive(
        self, address: Address, group: list[Entry], results: list[Result], moved: list[Entry]
    ) -> None:
        connection, _ = self._links[address]
        for number, entry in enumerate(group):
            try:
                connection.read_response()
            except (AskError, TryAgainError) as error:  # MovedError is an AskError
                self._follow(error)
                if entry.moves < MOVES:
                    entry.moves += 1
                    moved.append(entry)
                else:
                    results.append(Result(entry, Outcome.UNSENT, error))
            except ClusterDownError as error:
                results.append(Result(entry, Outcome.UNSENT, error))
            except ResponseError as error:
                results.append(Result(entry, Outcome.REFUSED, error))
            except RedisError as error:
                self._lose(address, error)
                results += [Result(left, Outcome.UNCONFIRMED, error) for left in group[number:]]
                return
            else:
                results.append(Result(entry, Outcome.CONFIRMED))
        self._links[address] = (connection, time.monotonic())

    def _follow(self, error: RedisError) -> None:
        if isinstance(error, AskError):
            self._servers.follow(error)
        else:
            self.refresh()

    def _link(self, address: Address) -> Connection:
        """Return a connection that is fit for use."""
        if address in self._links and self._is_alive(*self._links[address]):
            return self._links[address][0]
        error, since = self._unreachable.get(address, (None, 0.0))
        if error is not None and time.monotonic() - since < PAUSE:
            raise error
        try:
            connection = self._servers.connect(address)
        except RedisError as error:
            self._unreachable[address] = (error, time.monotonic())
            self._lose(address, error)
            raise
        self._links[address] = (connection, time.monotonic())
        self._lost.discard(address)
        self._outage.end(self._label(address))
        return connection

    def _is_alive(self, connection: Connection, used: float) -> bool:
        """Whether a connection still works; one that the server has ended can be read from."""
        try:
            if not connection.can_read():
                if time.monotonic() - used > IDLE:
                    connection.send_command("PING", check_health=False)
                    connection.read_response()
                return True
        except RedisError:
            pass
        connection.disconnect()
        return False

    def _lose(self, address: Address, error: RedisError) -> None:
        connection, _ = self._links.pop(address, (None, 0.0))
        if connection is not None:
            connection.disconnect()
        self._lost.add(address)
        self._outage.begin(self._label(address), error)

    def _label(self, address: Address) -> str:
        """Name a connection: that of a cluster's node by its address, as others may go on."""
        return f"publishing to {address[0]}:{address[1]}" if self._servers.url.sharded else "publishing"
