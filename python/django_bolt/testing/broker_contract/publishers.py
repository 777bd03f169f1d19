"""What a broker does for whoever publishes: threads and event loops, forks, signal handlers, processes that end."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import threading
import warnings

from django_bolt.conf import BoltSettings
from django_bolt.testing.broker_contract.fixtures import WithOtherProcess
from django_bolt.testing.broker_contract.process import OtherProcess, message, run_in_process
from django_bolt.topics.brokers import Broker, make_broker

__all__ = ["PublisherContract"]

MANY = 1000


class PublisherContract(WithOtherProcess):
    """Tests of publishers; part of `SharedBrokerContract`."""

    def test_the_order_of_each_publisher_is_kept(self, url: str, broker: Broker, other: OtherProcess) -> None:
        """Three publishers, ten thousand publications: a thread that waits, one that does not, and a process."""
        other.subscribe("waits", "hurries", "other")
        threads = [
            threading.Thread(target=publish_numbers, args=(broker, "publish", "waits", 2000)),
            threading.Thread(target=publish_numbers, args=(broker, "publish_soon", "hurries", 4000)),
        ]
        with OtherProcess(url, BoltSettings()) as third:
            third.publish_numbers("other", 4000)
            for thread in threads:
                thread.start()
            got = other.received(10_000)
        for thread in threads:
            thread.join()
        for topic, count in (("waits", 2000), ("hurries", 4000), ("other", 4000)):
            assert [int(p.data) for p in got if p.topic == topic] == list(range(count))

    def test_many_threads_publish(self, broker: Broker, other: OtherProcess) -> None:
        other.subscribe(*(f"thread:{number}" for number in range(8)))
        threads = [
            threading.Thread(target=publish_numbers, args=(broker, "publish", f"thread:{number}", 50))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        got = other.received(400)
        for thread in threads:
            thread.join()
        assert sorted(p.topic for p in got) == sorted(
            f"thread:{number}" for number in range(8) for _ in range(50)
        )

    def test_one_event_loop_after_another_publishes(self, broker: Broker, other: OtherProcess) -> None:
        other.subscribe("room:1")

        async def main(number: int) -> None:
            await broker.apublish(message("room:1", f"{number}a"))
            await asyncio.gather(*(broker.apublish(message("room:1", f"{number}b")) for _ in range(3)))

        for number in range(3):
            asyncio.run(main(number))
            broker.publish(message("room:1", f"{number}c"))
        expected = [f"{number}{letter}".encode() for number in range(3) for letter in "abbbc"]
        assert other.data(15) == expected

    def test_a_signal_handler_publishes(self, url: str, settings: BoltSettings, other: OtherProcess) -> None:
        other.subscribe("room:1")
        assert run_in_process(publish_in_signal_handlers, url, settings) == 0
        got: list[str] = []
        while not got or not got[-1].startswith("end"):
            got += [data.decode() for data in other.data(1)]
        for letter, count in (("m", MANY), ("h", int(got[-1][3:]))):
            assert [int(data[1:]) for data in got if data.startswith(letter)] == list(range(count))

    def test_a_process_that_ends_at_once_has_published(
        self, url: str, settings: BoltSettings, other: OtherProcess
    ) -> None:
        other.subscribe("room:1")
        assert run_in_process(publish_and_end, url, settings) == 0
        assert other.data(200) == [str(number).encode() for number in range(200)]

    def test_a_child_of_multiprocessing_that_ends_at_once_has_published(
        self, url: str, settings: BoltSettings, other: OtherProcess
    ) -> None:
        other.subscribe("room:1")
        assert run_in_process(publish_in_child, url, settings) == 0
        assert other.data(200) == [str(number).encode() for number in range(200)]

    def test_parent_and_child_publish_after_a_fork(
        self, url: str, settings: BoltSettings, other: OtherProcess
    ) -> None:
        other.subscribe("room:1")
        assert run_in_process(publish_around_fork, url, settings) == 0
        got = other.received(201)
        assert got[0].data == b"before"
        assert [int(p.data[1:]) for p in got if p.data.startswith(b"c")] == list(range(100))
        assert [int(p.data[1:]) for p in got if p.data.startswith(b"p")] == list(range(100))
        assert len({p.origin for p in got}) == 2

    def test_a_serving_process_forks(self, url: str, broker: Broker, other: OtherProcess) -> None:
        with OtherProcess(url, BoltSettings()) as forking:
            forking.subscribe("room:1")
            other.subscribe("room:1")
            forking.fork_and_publish("room:1")
            assert other.data(1) == [b"from the child"]
            assert forking.data(1) == [b"from the child"]  # it is another process
            broker.publish(message("room:1", "still there"))
            assert forking.data(1) == other.data(1) == [b"still there"]


def publish_numbers(broker: Broker, method: str, topic: str, count: int) -> None:
    """Publish numbers on a topic."""
    for number in range(count):
        getattr(broker, method)(message(topic, str(number)))


def publish_and_end(url: str, settings: BoltSettings) -> None:
    """Publish without waiting, in a process that ends then."""
    publish_numbers(make_broker(url, settings), "publish_soon", "room:1", 200)


def publish_in_signal_handlers(url: str, settings: BoltSettings) -> None:
    """Publish, and publish in handlers of signals that interrupt it, which may hold what the handlers need."""
    broker = make_broker(url, settings)
    numbers = itertools.count()
    signal.signal(signal.SIGALRM, lambda *_: broker.publish(message("room:1", f"h{next(numbers)}")))
    broker.publish(message("room:1", "m0"))
    for number in range(1, MANY):
        signal.setitimer(signal.ITIMER_REAL, 0.0001 * (number % 5 + 1))
        broker.publish(message("room:1", f"m{number}"))
    signal.setitimer(signal.ITIMER_REAL, 0)
    broker.publish(message("room:1", f"end{next(numbers)}"))


def publish_in_child(url: str, settings: BoltSettings) -> None:
    """Publish as `publish_and_end` in a child that ends without exit handlers, as those of prefork pools do."""
    child = multiprocessing.get_context("fork").Process(target=publish_and_end, args=(url, settings))
    child.start()
    child.join()
    raise SystemExit(child.exitcode)


def publish_around_fork(url: str, settings: BoltSettings) -> None:
    """Publish, fork, and publish in both processes."""
    warnings.simplefilter("ignore")  # of forks of processes with threads
    broker = make_broker(url, settings)
    broker.publish(message("room:1", "before"))
    child = os.fork()
    letter = "p" if child else "c"
    for number in range(100):
        broker.publish(message("room:1", f"{letter}{number}"))
    if child:
        _, status = os.waitpid(child, 0)
        raise SystemExit(os.waitstatus_to_exitcode(status))
    os._exit(0)
