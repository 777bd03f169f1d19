"""Another process that takes part: started, told what to do, and asked what it got."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers import Broker, BrokerStatus, make_broker
from django_bolt.topics.process import process_id
from django_bolt.topics.publication import Publication

__all__ = ["OtherProcess", "count_descriptors", "message", "run_in_process"]

_SPAWN = multiprocessing.get_context("spawn")

PATIENCE = 20.0
"""Seconds after which something that has not happened is held not to happen."""
FAULTY = "contract: deliver raises"
"""On this topic the delivery fails in the other process."""


def message(topic: str, data: str | bytes = "") -> Publication:
    """Return a publication of this process."""
    raw = data if isinstance(data, bytes) else data.encode()
    return Publication(topic, raw, isinstance(data, str), process_id())


def run_in_process(target: Any, *arguments: Any) -> int:
    """Call a function of a module in a new process that ends with it; return its exit code."""
    process = _SPAWN.Process(target=target, args=arguments)
    process.start()
    process.join(PATIENCE)
    process.kill()  # nothing, if it has ended
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def count_descriptors() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


class OtherProcess:
    """A serving process with a broker of its own. A context manager.

    Args:
        url: Of the broker.
        settings: Of the broker.
    """

    def __init__(self, url: str, settings: BoltSettings) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_main, args=(theirs, url, settings), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def subscribe(self, *names: str) -> None:
        """Subscribe, and wait until that is in force."""
        self._ask("subscribe", *names)

    def unsubscribe(self, *names: str) -> None:
        """Unsubscribe."""
        self._ask("unsubscribe", *names)

    def publish(self, method: str, *publications: tuple[str, str | bytes]) -> None:
        """Publish topics and data on the event loop by a method of the broker that does not block."""
        self._ask("publish", method, publications)

    def publish_numbers(self, topic: str, count: int) -> None:
        """Begin to publish numbers on a topic, and return at once."""
        self._ask("publish_numbers", topic, count)

    def received(self, count: int) -> list[Publication]:
        """Wait for so many publications, and return what has come since the last call."""
        publications: list[Publication] = self._ask("received", count)
        return publications

    def data(self, count: int) -> list[bytes]:
        """Wait for so many publications, and return their data."""
        return [publication.data for publication in self.received(count)]

    def reset(self) -> None:
        """Unsubscribe from everything and forget what came."""
        self._ask("reset")

    def restart_broker(self) -> None:
        """Stop the broker and start it again, twice; subscriptions are gone."""
        self._ask("restart_broker")

    def fork_and_publish(self, topic: str) -> None:
        """Fork, and publish in the child."""
        self._ask("fork_and_publish", topic)

    def delay(self, seconds: float) -> None:
        """Take so long for each publication from now on."""
        self._ask("delay", seconds)

    def hang(self, seconds: float) -> None:
        """Block the event loop; returns when it is blocked."""
        self._ask("hang", seconds)

    def status(self) -> BrokerStatus:
        """Return the status of the broker."""
        status: BrokerStatus = self._ask("status")
        return status

    def resources(self) -> dict[str, int]:
        """Return how many descriptors, tasks and threads there are."""
        resources: dict[str, int] = self._ask("resources")
        return resources

    def kill(self) -> None:
        """End the process as a crash does."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._connection.send((name, arguments))
        return self._answer()

    def _answer(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise AssertionError("The other process does not answer")
        succeeded, value = self._connection.recv()
        if not succeeded:
            raise AssertionError(f"The other process failed: {value}")
        return value


def _main(connection: Connection, url: str, settings: BoltSettings) -> None:
    asyncio.run(_Serving(url, settings).run(connection))


class _Serving:
    """What runs in the other process; public methods are what it can be told."""

    def __init__(self, url: str, settings: BoltSettings) -> None:
        self._broker: Broker = make_broker(url, settings)
        self._got: list[Publication] = []
        self._names: set[str] = set()
        self._seconds = 0.0
        self._background: asyncio.Task[None] | None = None

    async def run(self, connection: Connection) -> None:
        await self._broker.start(self._deliver)
        connection.send((True, None))
        while True:
            name, arguments = await asyncio.to_thread(connection.recv)
            if name == "hang":
                connection.send((True, None))
                time.sleep(*arguments)  # noqa: ASYNC251, this is what hanging means
                continue
            try:
                value = await getattr(self, name)(*arguments)
            except Exception as error:
                connection.send((False, repr(error)))
            else:
                connection.send((True, value))

    async def subscribe(self, *names: str) -> None:
        for name in names:
            self._broker.subscribe(name)
        self._names.update(names)
        await self._broker.synced(*names)

    async def unsubscribe(self, *names: str) -> None:
        for name in names:
            self._broker.unsubscribe(name)
        self._names.difference_update(names)

    async def publish(self, method: str, publications: Iterable[tuple[str, str | bytes]]) -> None:
        for topic, data in publications:
            result = getattr(self._broker, method)(message(topic, data))
            if result is not None:
                await result

    async def publish_numbers(self, topic: str, count: int) -> None:
        self._background = asyncio.create_task(self._publish_numbers(topic, count))

    async def _publish_numbers(self, topic: str, count: int) -> None:
        for number in range(count):
            self._broker.publish_soon(message(topic, str(number)))
            if number % 100 == 0:
                await asyncio.sleep(0)

    async def received(self, count: int) -> list[Publication]:
        deadline = time.monotonic() + PATIENCE - 1
        while len(self._got) < count and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        got, self._got = self._got, []
        return got

    async def reset(self) -> None:
        await self.unsubscribe(*list(self._names))
        await self._broker.synced()
        self._got.clear()

    async def restart_broker(self) -> None:
        for _ in range(2):
            await self._broker.stop()
            await self._broker.start(self._deliver)

    async def fork_and_publish(self, topic: str) -> None:
        child = os.fork()
        if not child:
            status = 1
            try:
                self._broker.publish(message(topic, "from the child"))
                status = 0
            finally:
                os._exit(status)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        if status:
            raise RuntimeError(f"the child ended with {status}")

    async def delay(self, seconds: float) -> None:
        self._seconds = seconds

    async def status(self) -> BrokerStatus:
        return self._broker.status()

    async def resources(self) -> dict[str, int]:
        return {
            "descriptors": count_descriptors(),
            "tasks": len(asyncio.all_tasks()),
            # Without those of `asyncio.to_thread`, of which there are more or fewer.
            "threads": sum(not thread.name.startswith("asyncio") for thread in threading.enumerate()),
        }

    def _deliver(self, publication: Publication) -> None:
        if publication.topic == FAULTY:
            raise RuntimeError("the delivery failed, as it should")
        if self._seconds:
            time.sleep(self._seconds)
        self._got.append(publication)
