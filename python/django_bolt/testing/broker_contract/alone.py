"""What every broker does, and needs no other process to be seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from django_bolt.exceptions import PublicationTooLarge, WrongState
from django_bolt.testing.broker_contract.fixtures import SIZE_LIMIT, WithBroker
from django_bolt.testing.broker_contract.process import count_descriptors, message
from django_bolt.topics.brokers import Broker
from django_bolt.topics.publication import Publication

__all__ = ["METHODS", "BrokerContract", "publish"]

METHODS = ["publish", "publish_soon", "apublish"]


class BrokerContract(WithBroker):
    """Tests of a broker in one process."""

    @pytest.mark.parametrize("method", METHODS)
    def test_publishing_needs_neither_a_start_nor_subscribers(self, broker: Broker, method: str) -> None:
        publish(broker, method, message("room:1", "hello"))
        assert broker.status().drops == {}

    @pytest.mark.parametrize("method", METHODS)
    def test_data_up_to_the_limit_are_taken_and_beyond_it_refused(self, broker: Broker, method: str) -> None:
        publish(broker, method, message("room:1", b"x" * SIZE_LIMIT))
        with pytest.raises(PublicationTooLarge) as raised:
            publish(broker, method, message("room:1", b"x" * (SIZE_LIMIT + 1)))
        assert (raised.value.size, raised.value.limit) == (SIZE_LIMIT + 1, SIZE_LIMIT)

    def test_stopping_is_idempotent_and_not_the_end(self, broker: Broker) -> None:
        async def main() -> None:
            await broker.stop()
            for _ in range(2):
                await broker.start(ignore)
                await broker.stop()
                await broker.stop()

        asyncio.run(main())
        broker.publish(message("room:1", "hello"))

    def test_starting_twice_is_refused(self, broker: Broker) -> None:
        async def main() -> None:
            await broker.start(ignore)
            with pytest.raises(WrongState):
                await broker.start(ignore)
            await broker.stop()

        asyncio.run(main())

    def test_subscribing_and_unsubscribing_twice_change_nothing(self, broker: Broker) -> None:
        async def main() -> list[int]:
            await broker.start(ignore)
            counts = []
            for change in (broker.subscribe, broker.subscribe, broker.unsubscribe, broker.unsubscribe):
                change("room:1")
                await broker.synced()
                counts.append(broker.status().subscriptions)
            await broker.stop()
            return counts

        assert asyncio.run(main()) == [1, 1, 0, 0]

    def test_what_a_process_publishes_does_not_come_back(self, broker: Broker) -> None:
        got: list[Publication] = []

        async def main() -> None:
            await broker.start(got.append)
            broker.subscribe("room:1")
            await broker.synced()
            await broker.apublish(message("room:1", "hello"))
            broker.subscribe("room:2")
            await broker.synced()  # a round trip
            await broker.stop()

        asyncio.run(main())
        assert got == []

    def test_nothing_is_left_behind(self, broker: Broker) -> None:
        async def main() -> int:
            await broker.start(ignore)
            broker.subscribe("room:1")
            await broker.synced()
            await broker.apublish(message("room:1", "hello"))
            await broker.stop()
            return len(asyncio.all_tasks()) - 1

        assert asyncio.run(main()) == 0
        descriptors, threads = count_descriptors(), threading.active_count()
        for _ in range(3):
            assert asyncio.run(main()) == 0
        assert (count_descriptors(), threading.active_count()) == (descriptors, threads)


def publish(broker: Broker, method: str, publication: Publication) -> None:
    """Publish by a method, in an event loop of its own if it is asynchronous."""
    function: Callable[[Publication], Awaitable[None] | None] = getattr(broker, method)
    if method == "apublish":
        asyncio.run(broker.apublish(publication))
    else:
        function(publication)


def ignore(publication: Publication) -> None:
    """Deliver to nobody."""
