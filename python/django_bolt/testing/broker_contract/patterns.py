"""What a broker does that can have patterns."""

from __future__ import annotations

import pytest

from django_bolt.testing.broker_contract.fixtures import WithOtherProcess
from django_bolt.testing.broker_contract.process import OtherProcess, message
from django_bolt.topics.brokers import Broker

__all__ = ["PatternContract"]


class PatternContract(WithOtherProcess):
    """Tests of subscriptions to patterns."""

    def test_a_pattern_stands_for_all_that_begin_so(self, broker: Broker, other: OtherProcess) -> None:
        other.subscribe("orders.*")
        for topic in ("orders", "order.1", "orders.1", "orders.", "xorders.1", "orders.1.items", "Orders.1"):
            broker.publish(message(topic, topic))
        broker.publish(message("orders.end"))
        assert [p.topic for p in other.received(4)] == ["orders.1", "orders.", "orders.1.items", "orders.end"]

    def test_the_star_alone_stands_for_all_but_the_library_s_own(
        self, broker: Broker, other: OtherProcess
    ) -> None:
        other.subscribe("*")
        for topic in ("a", "$library", "部屋"):
            broker.publish(message(topic))
        assert [p.topic for p in other.received(2)] == ["a", "部屋"]

    @pytest.mark.parametrize("prefix", ["a[bc]", "a?", "a\\", "a.+", "[", "^a"])
    def test_nothing_but_the_star_is_special(self, broker: Broker, other: OtherProcess, prefix: str) -> None:
        other.subscribe(f"{prefix}*")
        for topic in ("ab", "abc", "a.b", "aab", prefix[:-1], f"{prefix}1"):
            if not topic.startswith(prefix):
                broker.publish(message(topic or "-", "near"))
        broker.publish(message(f"{prefix}2"))
        assert [p.topic for p in other.received(1)] == [f"{prefix}2"]

    def test_what_matches_more_than_once_arrives_once(self, broker: Broker, other: OtherProcess) -> None:
        names = ["orders.1", "orders.*", "orders.1*", "or*"]
        other.subscribe(*names)
        for name in names:
            broker.publish(message("orders.1", name))
            # Received before it unsubscribes: what is still on its way then may be lost, and rightly.
            assert other.data(1) == [name.encode()]
            other.unsubscribe(name)
        other.subscribe("fence")
        broker.publish(message("fence", "fence"))
        assert other.data(1) == [b"fence"]
