"""What a broker does that carries publications between processes."""

from __future__ import annotations

import asyncio
import time

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.testing.broker_contract.alone import METHODS, BrokerContract, publish
from django_bolt.testing.broker_contract.fixtures import SIZE_LIMIT
from django_bolt.testing.broker_contract.process import FAULTY, OtherProcess, message
from django_bolt.testing.broker_contract.publishers import PublisherContract
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.names import MAX_TOPIC_LENGTH, check_topic
from django_bolt.topics.publication import Publication

__all__ = ["SharedBrokerContract"]

TOPICS = [
    "room:1",
    "a b",
    " ",
    "zażółć gęślą jaźń",
    "部屋",
    "👩‍👩‍👧",
    "e\u0301",  # not the same topic as the composed character
    "[a-z]?^\\{1}",
    "$library",
    "x" * MAX_TOPIC_LENGTH,
    "🙂" * MAX_TOPIC_LENGTH,
]
DATA = [
    "text",
    "",
    b"",
    "zażółć 部屋 👩‍👩‍👧 \0",
    bytes(range(256)),
    b"\r\n$5\r\n",
    b"x" * SIZE_LIMIT,
]


class SharedBrokerContract(PublisherContract, BrokerContract):
    """Tests of a broker with another process."""

    @pytest.mark.parametrize("method", METHODS)
    def test_a_publication_reaches_another_process(
        self, broker: Broker, other: OtherProcess, method: str
    ) -> None:
        other.subscribe("room:1")
        publication = message("room:1", "hello")
        publish(broker, method, publication)
        assert other.received(1) == [publication]

    @pytest.mark.parametrize("method", ["publish_soon", "apublish"])
    def test_a_serving_process_publishes_too(self, url: str, other: OtherProcess, method: str) -> None:
        with OtherProcess(url, BoltSettings()) as third:
            third.subscribe("room:1")
            other.subscribe("room:1")
            other.publish(method, ("room:1", "a"), ("room:1", "b"))
            assert third.data(2) == [b"a", b"b"]
            third.publish(method, ("room:1", "c"))
            assert other.data(1) == [b"c"]

    @pytest.mark.parametrize("data", DATA, ids=lambda data: f"{type(data).__name__}-{len(data)}")
    def test_data_arrive_as_they_were(self, broker: Broker, other: OtherProcess, data: str | bytes) -> None:
        other.subscribe("room:1")
        broker.publish(message("room:1", data))
        (publication,) = other.received(1)
        raw = data if isinstance(data, bytes) else data.encode()
        assert (publication.data, publication.is_text) == (raw, isinstance(data, str))

    def test_the_place_in_a_history_arrives(self, broker: Broker, other: OtherProcess) -> None:
        other.subscribe("room:1")
        publication = Publication("room:1", b"x", False, "me", offset=2**63, epoch="e1")
        broker.publish(publication)
        assert other.received(1) == [publication]

    @pytest.mark.parametrize("topic", TOPICS, ids=ascii)
    def test_any_topic_is_its_own(self, broker: Broker, other: OtherProcess, topic: str) -> None:
        check_topic(topic, reserved=True)
        other.subscribe(topic)
        for near in (topic[:-1] + "_", topic + "_", "_" + topic, topic.upper() + "_"):
            broker.publish(message(near, "near"))
        broker.publish(message(topic, "exact"))
        assert [(p.topic, p.data) for p in other.received(1)] == [(topic, b"exact")]

    def test_only_what_is_subscribed_arrives(self, broker: Broker, other: OtherProcess) -> None:
        other.subscribe("room:1", "room:2", "room:3")
        other.unsubscribe("room:2")
        for number in (2, 4, 1, 3):
            broker.publish(message(f"room:{number}", str(number)))
        got = other.data(2)
        other.subscribe("room:2")
        broker.publish(message("room:2", "last"))
        assert sorted(got) + other.data(1) == [b"1", b"3", b"last"]

    def test_once_synced_nothing_is_missed(self, broker: Broker, other: OtherProcess) -> None:
        for number in range(50):
            other.subscribe(f"room:{number}")
            broker.publish(message(f"room:{number}", str(number)))
        assert other.data(50) == [str(number).encode() for number in range(50)]

    def test_many_topics(self, broker: Broker, other: OtherProcess) -> None:
        names = [f"room:{number}" for number in range(3000)]
        other.subscribe(*names)
        assert other.status().subscriptions == len(names)
        for name in names[::100]:
            broker.publish_soon(message(name, name))
        assert set(other.data(30)) == {name.encode() for name in names[::100]}
        other.unsubscribe(*names)
        assert other.status().subscriptions == 0

    def test_a_slow_process_misses_nothing(self, url: str, broker: Broker) -> None:
        with OtherProcess(url, BoltSettings()) as slow:
            slow.subscribe("room:1")
            slow.delay(0.002)
            for number in range(500):
                broker.publish(message("room:1", f"{number} ".ljust(20_000)))
            assert [int(data[:4]) for data in slow.data(500)] == list(range(500))
        assert broker.status().drops == {}

    def test_a_process_that_hangs_holds_up_nobody_for_long(self, url: str, other: OtherProcess) -> None:
        settings = BoltSettings(broker_queue_limit=1_000_000, broker_timeout=0.5)
        broker = make_broker(url, settings)
        with OtherProcess(url, settings) as hanging:
            hanging.subscribe("room:1")
            other.subscribe("room:1")
            hanging.hang(30)
            started = time.monotonic()
            for number in range(200):
                broker.publish(message("room:1", f"{number} ".ljust(20_000)))
            assert time.monotonic() - started < 5
            assert [int(data[:4]) for data in other.data(200)] == list(range(200))
        asyncio.run(broker.stop())

    def test_a_process_dies_and_another_is_born(self, url: str, broker: Broker, other: OtherProcess) -> None:
        other.subscribe("room:1")
        with OtherProcess(url, BoltSettings()) as dying:
            dying.subscribe("room:1")
            broker.publish(message("room:1", "1"))
            assert dying.data(1) == [b"1"]
        for number in (2, 3):
            broker.publish(message("room:1", str(number)))
        with OtherProcess(url, BoltSettings()) as born:
            born.subscribe("room:1")
            broker.publish(message("room:1", "4"))
            assert born.data(1) == [b"4"]
        assert other.data(4) == [b"1", b"2", b"3", b"4"]
        assert broker.status().drops == {}

    def test_a_process_stops_and_starts_its_broker(self, broker: Broker, other: OtherProcess) -> None:
        resources = []
        for number in range(3):
            other.subscribe("room:0")
            other.restart_broker()
            broker.publish(message("room:0", "nobody subscribes any more"))
            other.subscribe("room:1")
            broker.publish(message("room:1", str(number)))
            assert other.data(1) == [str(number).encode()]
            resources.append(other.resources())
        assert resources[1] == resources[2]

    def test_a_delivery_that_fails_does_not_end_the_receiving(
        self, broker: Broker, other: OtherProcess
    ) -> None:
        other.subscribe("room:1", FAULTY)
        broker.publish(message(FAULTY))
        broker.publish(message("room:1", "after"))
        assert other.data(1) == [b"after"]
