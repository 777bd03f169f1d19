"""Subscriptions that outlive their connection."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.testing.broker_contract.process import OtherProcess
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.brokers.redis import feed as module
from django_bolt.topics.brokers.redis.feed import Channel, pack
from django_bolt.topics.publication import Publication, encode
from tests.topics.brokers.redis.valkey import Valkey


class Serving:
    """A started broker of this process, and what it got."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.publications: asyncio.Queue[Publication] = asyncio.Queue()

    async def data(self) -> bytes:
        async with asyncio.timeout(10):
            return (await self.publications.get()).data


@pytest.fixture
async def serving(server: Valkey) -> AsyncIterator[Serving]:
    serving = Serving(make_broker(f"redis://{server.address}", BoltSettings(broker_timeout=0.5)))
    await serving.broker.start(serving.publications.put_nowait)
    yield serving
    await serving.broker.stop()


async def until(is_true: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(15):
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def publish(server: Valkey, topic: str, data: str) -> None:
    """Publish from another process."""
    publication = Publication(topic, data.encode(), True, "another process")
    server.ask("PUBLISH", f"tests/0:{topic}", encode(publication))


def test_commands_of_one_kind_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    plain = [("SUBSCRIBE", Channel("", b"%d" % number)) for number in range(4)]
    patterns = [("SUBSCRIBE", Channel("P", b"a*")), ("UNSUBSCRIBE", Channel("P", b"a*"))]
    shards = [("SUBSCRIBE", Channel("S", b"a")), ("SUBSCRIBE", Channel("S", b"b"))]
    assert list(pack([*plain, *patterns, *shards])) == [
        ("SUBSCRIBE", b"0", b"1", b"2"),
        ("SUBSCRIBE", b"3"),
        ("PSUBSCRIBE", b"a*"),
        ("PUNSUBSCRIBE", b"a*"),
        ("SSUBSCRIBE", b"a"),
        ("SSUBSCRIBE", b"b"),
    ]
    assert list(pack([])) == []


async def test_a_killed_server_gets_the_subscriptions_again(server: Valkey, serving: Serving) -> None:
    serving.broker.subscribe("room:1")
    serving.broker.subscribe("orders.*")
    await serving.broker.synced()
    server.kill()
    await until(lambda: not serving.broker.status().available)
    serving.broker.subscribe("room:2")
    serving.broker.unsubscribe("room:1")
    serving.broker.subscribe("room:1")
    serving.broker.unsubscribe("room:2")
    serving.broker.subscribe("room:2")
    with pytest.raises(BrokerUnavailable, match="not in force yet"):
        await serving.broker.synced("room:1")
    server.start()
    await until(lambda: serving.broker.status().available)
    await serving.broker.synced()
    for topic in ("room:1", "room:2", "room:3", "orders.1"):
        publish(server, topic, topic)
    assert [await serving.data() for _ in range(3)] == [b"room:1", b"room:2", b"orders.1"]
    assert serving.broker.status().outages == 1


async def test_what_was_unsubscribed_in_an_outage_hides_nothing(server: Valkey, serving: Serving) -> None:
    for name in ("orders.1", "or*", "orders.*"):
        serving.broker.subscribe(name)
    await serving.broker.synced()
    server.suspend()
    serving.broker.unsubscribe("orders.1")
    serving.broker.unsubscribe("or*")
    await asyncio.sleep(0.05)  # the commands are on their way
    server.kill()
    await until(lambda: not serving.broker.status().available)
    server.start()
    await until(lambda: serving.broker.status().available)
    await serving.broker.synced("orders.*")
    publish(server, "orders.1", "by the pattern")
    assert await serving.data() == b"by the pattern"


async def test_one_waits_through_an_outage(server: Valkey, serving: Serving) -> None:
    serving.broker.subscribe("room:1")
    await serving.broker.synced()
    server.kill()
    await until(lambda: not serving.broker.status().available)
    await asyncio.to_thread(server.start)
    waiting = asyncio.gather(serving.broker.synced("room:1"), serving.broker.synced())
    await until(lambda: serving.broker.status().available)
    await waiting
    publish(server, "room:1", "hello")
    assert await serving.data() == b"hello"


async def test_it_starts_without_the_server(server: Valkey) -> None:
    server.kill()
    serving = Serving(make_broker(f"redis://{server.address}", BoltSettings(broker_timeout=0.5)))
    await serving.broker.start(serving.publications.put_nowait)
    serving.broker.subscribe("room:1")
    with pytest.raises(BrokerUnavailable):
        await serving.broker.synced()
    server.start()
    await until(lambda: serving.broker.status().available)
    await serving.broker.synced()
    publish(server, "room:1", "hello")
    assert await serving.data() == b"hello"
    await serving.broker.stop()


async def test_a_server_that_is_silent_is_asked_and_given_up(
    server: Valkey, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.1)
    server.ask("CLIENT", "KILL", "TYPE", "normal")  # a new session, with the short interval
    serving.broker.subscribe("room:1")
    await serving.broker.synced()
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: serving.broker.status().outages == 1 and serving.broker.status().available)
    await serving.broker.synced()
    await asyncio.sleep(0.5)  # it answers: nothing happens
    assert serving.broker.status().outages == 1
    server.suspend()
    await until(lambda: serving.broker.status().outages == 2)
    server.resume()
    await until(lambda: serving.broker.status().available)
    await serving.broker.synced()
    publish(server, "room:1", "hello")
    assert await serving.data() == b"hello"


async def test_a_flood_leaves_others_their_turn(
    server: Valkey, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN", 0)
    serving.broker.subscribe("flood")
    await serving.broker.synced()
    turns: list[int] = []

    async def watch() -> None:
        while serving.publications.qsize() < 3000:
            turns.append(serving.publications.qsize())
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    with OtherProcess(f"redis://{server.address}", BoltSettings()) as other:
        await asyncio.to_thread(other.publish_numbers, "flood", 3000)
        await watching
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) < 100


async def test_a_subscription_that_is_refused(
    server: Valkey, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    serving.broker.subscribe("room:1")
    await serving.broker.synced()
    server.ask("ACL", "SETUSER", "default", "resetchannels", "&tests/0:room:1")
    serving.broker.subscribe("secret")
    with pytest.raises(BrokerUnavailable):
        await serving.broker.synced("secret")
    assert "refuses a subscription" in caplog.text
    await serving.broker.synced("room:1")


async def test_an_error_of_ours_is_logged_and_the_receiving_goes_on(
    server: Valkey, serving: Serving, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.broker.subscribe("room:1")
    await serving.broker.synced()

    def fail(payload: bytes) -> Publication:
        monkeypatch.undo()
        raise RuntimeError("a mistake")

    monkeypatch.setattr("django_bolt.topics.brokers.redis.receiving.decode", fail)
    publish(server, "room:1", "lost")
    await until(lambda: serving.broker.status().outages == 1 and serving.broker.status().available)
    await serving.broker.synced()
    publish(server, "room:1", "hello")
    assert await serving.data() == b"hello"
    assert "a mistake" in caplog.text
