"""A cluster whose slots move and whose nodes die."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable, InvalidTopic
from django_bolt.testing.broker_contract.process import OtherProcess, message
from django_bolt.topics.brokers import Broker, make_broker
from tests.topics.brokers.redis.valkey import Valkey, cluster, wait_for

TOPICS = [f"room:{number}" for number in range(30)]


@pytest.fixture
def nodes() -> Iterator[list[Valkey]]:
    with cluster() as nodes:
        yield nodes


@pytest.fixture
def url(nodes: list[Valkey]) -> str:
    return f"redis+cluster://{nodes[0].address},{nodes[1].address}"


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    broker = make_broker(url, BoltSettings())
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
def other(url: str) -> Iterator[OtherProcess]:
    with OtherProcess(url, BoltSettings()) as other:
        other.subscribe(*TOPICS)
        yield other


def publish_all(broker: Broker, data: str) -> None:
    for topic in TOPICS:
        broker.publish(message(topic, data))


def subscribed(node: Valkey) -> set[str]:
    """Return the topics that are subscribed at a node."""
    return {name.decode().partition(":")[2] for name in node.ask("PUBSUB", "SHARDCHANNELS")}


def move(topic: str, source: Valkey, target: Valkey, nodes: list[Valkey]) -> None:
    """Move the slot of a topic, as one does it with an empty slot."""
    slot = key_slot(f"tests/0:{topic}".encode())
    names = {node.port: node.ask("CLUSTER", "MYID").decode() for node in nodes}
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
    for node in (target, source, *nodes):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])


def test_each_topic_is_where_its_slot_is(nodes: list[Valkey], broker: Broker, other: OtherProcess) -> None:
    publish_all(broker, "x")
    assert sorted(p.topic for p in other.received(len(TOPICS))) == sorted(TOPICS)
    shares = [subscribed(node) for node in nodes]
    assert all(shares)
    assert sorted(topic for share in shares for topic in share) == sorted(TOPICS)
    other.unsubscribe(*TOPICS)
    wait_for(lambda: not any(subscribed(node) for node in nodes))


def test_a_topic_follows_its_slot(nodes: list[Valkey], broker: Broker, other: OtherProcess) -> None:
    publish_all(broker, "before")
    assert len(other.received(len(TOPICS))) == len(TOPICS)
    source = nodes[0]
    topic = min(subscribed(source))
    move(topic, source, nodes[1], nodes)
    broker.publish(message(topic, "the publisher is sent on"))
    wait_for(lambda: topic in subscribed(nodes[1]))
    other.subscribe()
    publish_all(broker, "after")
    got = other.received(len(TOPICS))
    assert sorted(p.topic for p in got if p.data == b"after") == sorted(TOPICS)
    assert broker.status().drops == {}
    assert topic not in subscribed(source)


def test_a_node_dies_and_the_others_go_on(nodes: list[Valkey], broker: Broker, other: OtherProcess) -> None:
    publish_all(broker, "before")
    assert len(other.received(len(TOPICS))) == len(TOPICS)
    dead = nodes[0]
    lost = subscribed(dead)
    for node in nodes:
        node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    dead.kill()
    for topic in TOPICS:
        if topic in lost:
            with pytest.raises(BrokerUnavailable):
                broker.publish(message(topic, "lost"))
        else:
            broker.publish(message(topic, "alive"))
    assert {p.topic for p in other.received(len(TOPICS) - len(lost))} == set(TOPICS) - lost
    assert not broker.status().available
    dead.start()
    wait_for(lambda: subscribed(dead) == lost)
    wait_for(lambda: reaches(broker, min(lost)))
    assert broker.status().available
    assert other.status().available


def test_a_replica_takes_the_place_of_a_node() -> None:
    with cluster(replicas=1, patience=1000) as nodes:
        url = f"redis+cluster://{nodes[1].address},{nodes[2].address}"
        broker = make_broker(url, BoltSettings())
        with OtherProcess(url, BoltSettings()) as other:
            other.subscribe(*TOPICS)
            lost = subscribed(nodes[0])
            replica = nodes[3]
            nodes[0].kill()
            wait_for(lambda: reaches(broker, min(lost)))
            wait_for(lambda: subscribed(replica) == lost)
            other.subscribe()
            publish_all(broker, "after")
            got = [p.topic for p in other.received(len(TOPICS)) if p.data == b"after"]
            assert sorted(got) == sorted(TOPICS)
            wait_for(lambda: other.status().available)
        assert broker.status().available
        asyncio.run(broker.stop())


def reaches(broker: Broker, topic: str) -> bool:
    """Whether publishing works."""
    try:
        broker.publish(message(topic, "probe"))
    except BrokerUnavailable:
        return False
    return True


def test_without_shards_any_node_will_do(nodes: list[Valkey], url: str) -> None:
    for node in nodes:
        node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    url = f"{url}?sharded=no"
    broker = make_broker(url, BoltSettings())
    with OtherProcess(url, BoltSettings()) as other:
        other.subscribe("orders.*")
        broker.publish(message("orders.1", "before"))
        assert other.data(1) == [b"before"]
        for node in nodes[:2]:
            node.kill()
        wait_for(lambda: reaches(broker, "elsewhere"))
        wait_for(lambda: other.status().available)
        other.subscribe()
        broker.publish(message("orders.2", "after"))
        assert other.data(1) == [b"after"]
    asyncio.run(broker.stop())


def test_patterns_are_refused_with_the_remedy(url: str) -> None:
    broker = make_broker(url, BoltSettings())

    async def main() -> None:
        await broker.start(lambda publication: None)
        with pytest.raises(InvalidTopic, match=r"\?sharded=no"):
            broker.subscribe("orders.*")
        assert broker.status().subscriptions == 0
        await broker.stop()

    asyncio.run(main())


def test_it_starts_without_the_cluster(nodes: list[Valkey], url: str) -> None:
    for node in nodes:
        node.kill()
    broker = make_broker(url, BoltSettings(broker_timeout=0.3))
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def main() -> None:
        await broker.start(lambda publication: got.put_nowait(publication.data))
        broker.subscribe("room:1")
        with pytest.raises(BrokerUnavailable):
            await broker.synced()
        assert not broker.status().available
        for node in nodes:
            await asyncio.to_thread(node.start)
        publisher = make_broker(url, BoltSettings())
        while not broker.status().available:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await broker.synced()
        await asyncio.to_thread(wait_for, lambda: reaches(publisher, "room:2"))
        publication = message("room:1", "hello")
        await publisher.apublish(type(publication)("room:1", b"hello", True, "another process"))
        assert await got.get() == b"hello"
        await publisher.stop()
        await broker.stop()

    asyncio.run(main())
