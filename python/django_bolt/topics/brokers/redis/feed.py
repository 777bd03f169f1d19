"""What one server sends to its subscriber: a connection on the event loop of a serving process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Connection
from redis.exceptions import AskError, RedisError, ResponseError

from django_bolt.topics.brokers.outage import Backoff, Outage
from django_bolt.topics.brokers.redis.servers import Servers
from django_bolt.topics.brokers.redis.url import Address

__all__ = ["Channel", "Feed", "Listener"]

logger = logging.getLogger("django_bolt.topics")

HEARTBEAT = 10.0
"""Seconds of silence after which the server is asked whether it is there."""
TURN = 0.005
"""Seconds after which other work of the loop gets its turn, however much waits."""
CHUNK = 1000
"""Channels in one command."""
ANSWERS = {
    b"subscribe": ("", True),
    b"unsubscribe": ("", False),
    b"psubscribe": ("P", True),
    b"punsubscribe": ("P", False),
    b"ssubscribe": ("S", True),
    b"sunsubscribe": ("S", False),
}
"""What the server says of which kind of channel, and whether it is in force now."""


class Channel(NamedTuple):
    """What one subscribes to.

    Attributes:
        kind: ``""`` for a channel, ``"P"`` for a pattern, ``"S"`` for a channel of a shard: what precedes
            ``SUBSCRIBE`` in the commands.
        name: Its name on the server.
    """

    kind: str
    name: bytes


class Listener(Protocol):
    """Gets what a feed receives."""

    def on_message(self, payload: bytes, channel: bytes, pattern: bytes | None) -> None:
        """Take a publication; with the pattern that it came by, if it did not come by its channel's name."""

    def on_change(self, feed: Feed, channel: Channel, is_in_force: bool) -> None:
        """Note that a subscription is in force, or is no longer."""

    def on_restart(self, feed: Feed) -> None:
        """Note that nothing of a feed is in force, and that each of its channels is requested once, anew."""

    def on_moved(self, feed: Feed, slot: int | None = None) -> None:
        """Note that channels belong to another node: those of a slot, or nobody knows which."""


class Feed:
    """A connection that subscribes, and subscribes again whenever it was lost.

    Args:
        servers: Make the connection.
        locate: Returns where to; may block.
        listener: Gets what arrives.
        outage: Is told of losses.
        label: Names the connection there.

    Attributes:
        channels: What shall be in force.
    """

    def __init__(
        self,
        servers: Servers,
        locate: Callable[[], Address],
        listener: Listener,
        outage: Outage,
        label: str = "subscriptions",
    ) -> None:
        self.channels: set[Channel] = set()
        self._servers = servers
        self._locate = locate
        self._listener = listener
        self._outage = outage
        self._label = label
        self._connection: Connection | None = None
        self._commands: list[tuple[str, Channel]] = []
        self._wake = asyncio.Event()
        self._heard = 0.0
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, channel: Channel) -> None:
        """Subscribe to a channel."""
        self.channels.add(channel)
        self._command("SUBSCRIBE", channel)

    def remove(self, channel: Channel) -> None:
        """Unsubscribe from a channel."""
        self.channels.discard(channel)
        self._command("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """End the connection."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._outage.forget(self._label)

    def abandon(self) -> None:
        """Give up the connection in the child after a fork, without a word to the server or the loop."""
        writer = getattr(self._connection, "_writer", None)
        if writer is None:
            return
        # The parent's transport would close a descriptor that another file may have by then: leave one there.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, writer.get_extra_info("socket").fileno(), inheritable=False)
        os.close(null)

    def _command(self, verb: str, channel: Channel) -> None:
        if self._connection is not None:  # otherwise all channels are subscribed as soon as there is one
            self._commands.append((verb, channel))
            self._wake.set()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._session(await asyncio.to_thread(self._locate), backoff)
            except Exception as error:
                if not isinstance(error, RedisError | OSError):
                    logger.exception("Receiving from the broker %s failed", self._outage.address)
                self._outage.begin(self._label, str(error) or "no answer in time")
                with contextlib.suppress(RedisError):
                    await asyncio.to_thread(self._servers.refresh)
                self._listener.on_restart(self)
                self._listener.on_moved(self)
                await asyncio.sleep(backoff.pause())

    async def _session(self, address: Address, backoff: Backoff) -> None:
        """Subscribe and receive until the connection is lost.

        Raises:
            RedisError: It is lost.
            OSError: It is lost.
        """
        connection = self._servers.make_async_connection(address)
        writing = None
        try:
            async with asyncio.timeout(self._servers.timeout):
                await connection.connect()
            self._connection = connection
            self._listener.on_restart(self)
            self._commands = [("SUBSCRIBE", channel) for channel in self.channels]
            self._wake.set()
            self._outage.end(self._label)
            backoff.reset()
            writing = asyncio.create_task(self._write(connection))
            await self._read(connection)
        finally:
            self._connection = None
            if writing is not None:
                writing.cancel()
            await connection.disconnect(nowait=True)

    async def _write(self, connection: Connection) -> None:
        """Send commands, and after a silence a PING; end the connection if the server does not listen."""
        self._heard = time.monotonic()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT):
                        await self._wake.wait()
                self._wake.clear()
                commands, self._commands = self._commands, []
                silence = time.monotonic() - self._heard
                if silence > 2 * HEARTBEAT:
                    raise TimeoutError
                packed = [*pack(commands)] or ([("PING",)] if silence > HEARTBEAT / 2 else [])
                async with asyncio.timeout(self._servers.timeout):
                    await connection.send_packed_command(connection.pack_commands(packed), check_health=False)
        except (RedisError, OSError):  # the built-in TimeoutError is one
            await connection.disconnect(nowait=True)

    async def _read(self, connection: Connection) -> None:
        turn_ends = 0.0
        while True:
            try:
                response = await connection.read_response()
            except AskError as error:  # MovedError is one: the slot of a channel is elsewhere
                self._servers.follow(error)
                self._listener.on_moved(self, error.slot_id)
                continue
            except ResponseError as error:
                logger.error("The broker %s refuses a subscription: %s", self._outage.address, error)
                continue
            self._heard = time.monotonic()
            self._take(response)
            # What is in the buffer is returned without a turn of the loop.
            if self._heard > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + TURN

    def _take(self, response: Any) -> None:
        kind = response[0]
        if kind in (b"message", b"smessage"):
            self._listener.on_message(response[2], response[1], None)
        elif kind == b"pmessage":
            self._listener.on_message(response[3], response[2], response[1])
        elif kind in ANSWERS:
            letter, is_in_force = ANSWERS[kind]
            self._listener.on_change(self, Channel(letter, response[1]), is_in_force)


def pack(commands: list[tuple[str, Channel]]) -> Iterator[tuple[str | bytes, ...]]:
    """Join neighbouring commands of one kind; those of a shard stay alone, as each has a slot of its own."""
    run: list[bytes] = []
    verb = ""
    for command, channel in commands:
        if run and (channel.kind + command != verb or channel.kind == "S" or len(run) == CHUNK):
            yield (verb, *run)
            run = []
        verb = channel.kind + command
        run.append(channel.name)
    if run:
        yield (verb, *run)
