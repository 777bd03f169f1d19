from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.process import process_id
from django_bolt.topics.publication import Publication, encode
from tests.topics.brokers.redis.valkey import Valkey

ROOT = Path(__file__).resolve().parents[4]


class Serving:
    """A started broker of this process, and what it got."""

    def __init__(self, url: str) -> None:
        self.broker: Broker = make_broker(url, BoltSettings())
        self.publications: asyncio.Queue[Publication] = asyncio.Queue()

    async def start(self, *names: str) -> None:
        await self.broker.start(self.publications.put_nowait)
        for name in names:
            self.broker.subscribe(name)
        await self.broker.synced()

    async def data(self) -> bytes:
        async with asyncio.timeout(10):
            return (await self.publications.get()).data


@pytest.fixture
async def serving(lasting_server: Valkey) -> AsyncIterator[Serving]:
    serving = Serving(f"redis://{lasting_server.address}")
    yield serving
    await serving.broker.stop()


def foreign(topic: str, data: bytes, is_text: bool = False) -> bytes:
    """Return a publication of another process as it is on the wire."""
    return encode(Publication(topic, data, is_text, "another process"))


async def test_what_is_no_publication_is_counted(lasting_server: Valkey, serving: Serving) -> None:
    await serving.start("room:1", "orders.*")
    garbled = [
        b"",
        b"hello",
        foreign("room:1", b"x")[:-1],
        foreign("room:2", b"another topic"),
        foreign("room:1", b"\xff", is_text=True),
    ]
    for raw in garbled:
        lasting_server.ask("PUBLISH", "tests/0:room:1", raw)
    lasting_server.ask("PUBLISH", "tests/0:orders.1", foreign("room:1", b"another topic"))
    lasting_server.ask("PUBLISH", "tests/0:room:1", foreign("room:1", b"good"))
    assert await serving.data() == b"good"
    assert serving.broker.status().drops == {"invalid": len(garbled) + 1}


async def test_own_publications_are_known_by_their_origin(lasting_server: Valkey, serving: Serving) -> None:
    await serving.start("room:1")
    for origin in (process_id(), "another process"):
        raw = encode(Publication("room:1", origin.encode(), True, origin))
        lasting_server.ask("PUBLISH", "tests/0:room:1", raw)
    assert await serving.data() == b"another process"


@pytest.mark.parametrize("option", ["/1", "?prefix=staging", "/1?prefix=staging"])
async def test_projects_and_databases_do_not_meet(
    lasting_server: Valkey, serving: Serving, option: str
) -> None:
    elsewhere = Serving(f"redis://{lasting_server.address}{option}")
    await serving.start("*")
    await elsewhere.start("*")
    publication = Publication("room:1", b"elsewhere", False, "another process")
    await elsewhere.broker.apublish(publication)
    await serving.broker.apublish(Publication("room:1", b"here", False, "another process"))
    assert await serving.data() == b"here"
    assert await elsewhere.data() == b"elsewhere"
    await elsewhere.broker.stop()


async def test_the_server_holds_no_subscription_longer_than_it_is_wanted(
    lasting_server: Valkey, serving: Serving
) -> None:
    await serving.start("room:1", "room:2", "orders.*")
    assert set(lasting_server.ask("PUBSUB", "CHANNELS")) == {b"tests/0:room:1", b"tests/0:room:2"}
    assert lasting_server.ask("PUBSUB", "NUMPAT") == 1
    for name in ("room:1", "orders.*"):
        serving.broker.unsubscribe(name)
    serving.broker.subscribe("room:3")
    await serving.broker.synced()
    assert set(lasting_server.ask("PUBSUB", "CHANNELS")) == {b"tests/0:room:2", b"tests/0:room:3"}
    assert lasting_server.ask("PUBSUB", "NUMPAT") == 0


async def test_a_process_has_one_connection_for_each_direction(
    lasting_server: Valkey, serving: Serving
) -> None:
    await serving.start("room:1")
    publications = [Publication("room:1", b"x", False, "another process") for _ in range(100)]
    await asyncio.gather(*(serving.broker.apublish(publication) for publication in publications))
    await asyncio.gather(*(asyncio.to_thread(serving.broker.publish, each) for each in publications[:20]))
    clients = lasting_server.ask("CLIENT", "LIST")
    lines = [line for line in clients.decode().splitlines() if "cmd=client" not in line]
    assert len(lines) == 2
    assert sum("sub=1" in line for line in lines) == 1


async def test_the_permissions_that_the_documentation_names_are_enough(server: Valkey) -> None:
    documented = (ROOT / "docs/topics/brokers.md").read_text().partition("**Permissions**")[2]
    needed = re.findall(r"\+[a-z|]+", documented.partition("on a cluster")[0])
    server.ask("ACL", "SETUSER", "bolt", "on", ">secret", *needed, "&tests/0:*", "&tests/0:orders.*")
    serving = Serving(f"redis://bolt:secret@{server.address}")
    await serving.start("room:1", "orders.*")
    for topic in ("room:1", "orders.1"):
        await serving.broker.apublish(Publication(topic, topic.encode(), True, "another process"))
    assert [await serving.data(), await serving.data()] == [b"room:1", b"orders.1"]
    serving.broker.unsubscribe("room:1")
    serving.broker.unsubscribe("orders.*")
    await asyncio.to_thread(serving.broker.check)
    await serving.broker.stop()
    assert server.ask("ACL", "LOG") == []
