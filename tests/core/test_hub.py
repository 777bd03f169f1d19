"""Topics in one process: who gets a publication, and what subscriptions leave behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from django_bolt import WebSocketDisconnect, _core
from tests.core.conftest import Serve
from tests.core.loopback import Client, Peer, Server, settle, until


class Hub(_core.Hub):
    """Notes which topics are wanted."""

    def __init__(self) -> None:
        self.interest: list[tuple[str, bool]] = []

    def interest_changed(self, topic: str, wanted: bool) -> None:
        self.interest.append((topic, wanted))


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def server(serve: Serve, hub: Hub) -> Server:
    return serve(hub=hub)


async def subscriber(server: Server, hub: Hub, *topics: str) -> tuple[Client, Peer]:
    client, peer = await server.open()
    for topic in topics:
        hub.subscribe(peer, topic)
    return client, peer


async def test_a_publication_reaches_every_subscriber_and_nobody_else(server: Server, hub: Hub) -> None:
    members = [await subscriber(server, hub, "room:1") for _ in range(3)]
    stranger, _ = await subscriber(server, hub, "room:2")
    assert hub.publish("room:1", "Grüße".encode(), True) == 3
    assert [await client.message() for client, _ in members] == ["Grüße"] * 3
    assert hub.publish("room:2", b"\x00\xff", False) == 1
    assert await stranger.message() == b"\x00\xff"


async def test_publications_come_in_their_order(server: Server, hub: Hub) -> None:
    client, _ = await subscriber(server, hub, "a", "b")
    for number in range(500):
        hub.publish("ab"[number % 2], str(number).encode(), True)
    assert [await client.message() for _ in range(500)] == [str(number) for number in range(500)]


async def test_nobody_is_subscribed(server: Server, hub: Hub) -> None:
    await server.open()
    assert hub.publish("room:1", b"x", True) == 0
    assert hub.count("room:1") == 0
    assert hub.members("room:1") == []


async def test_one_connection_can_be_left_out(server: Server, hub: Hub) -> None:
    (first, sender), (second, _) = [await subscriber(server, hub, "t") for _ in range(2)]
    assert hub.publish("t", b"for the others", True, sender.id) == 1
    assert hub.publish("t", b"for all", True) == 2
    assert await second.message() == "for the others"
    assert await first.message() == "for all"


async def test_subscribing_twice_is_one_subscription(server: Server, hub: Hub) -> None:
    client, peer = await server.open()
    assert hub.subscribe(peer, "t") is True
    assert hub.subscribe(peer, "t") is False
    assert hub.publish("t", b"once", True) == 1
    hub.unsubscribe(peer, "t")
    assert hub.publish("t", b"none", True) == 0
    assert hub.interest == [("t", True), ("t", False)]
    assert await client.message() == "once"


async def test_unsubscribing_what_was_never_subscribed_does_nothing(server: Server, hub: Hub) -> None:
    _, peer = await subscriber(server, hub, "t")
    _, other = await server.open()
    hub.unsubscribe(other, "t")
    hub.unsubscribe(peer, "other")
    assert hub.count("t") == 1
    assert hub.interest == [("t", True)]


async def test_interest_is_told_for_the_first_and_the_last_subscriber(server: Server, hub: Hub) -> None:
    (_, first), (_, second) = [await subscriber(server, hub, "t") for _ in range(2)]
    assert hub.interest == [("t", True)]
    hub.unsubscribe(first, "t")
    assert hub.interest == [("t", True)]
    hub.unsubscribe(second, "t")
    assert hub.interest == [("t", True), ("t", False)]
    assert hub.topics() == []


async def test_the_end_of_a_connection_ends_its_subscriptions(server: Server, hub: Hub) -> None:
    leaving, _ = await subscriber(server, hub, "a", "b", "c*")
    _, staying = await subscriber(server, hub, "b")
    for task in server.tasks:
        task.cancel()
    leaving.drop()
    await until(lambda: len(hub.topics()) == 1)
    assert hub.members("b") == [staying]
    assert sorted(hub.interest) == [("a", False), ("a", True), ("b", True), ("c*", False), ("c*", True)]


async def test_a_connection_that_is_over_cannot_subscribe(server: Server, hub: Hub) -> None:
    client, peer = await server.open()
    client.drop()
    await until(lambda: peer.ready_state == 2)
    with pytest.raises(WebSocketDisconnect):
        hub.subscribe(peer, "t")
    assert hub.topics() == []


async def test_a_connection_without_a_reactor_cannot_subscribe(hub: Hub) -> None:
    with pytest.raises(RuntimeError, match="not made by a reactor"):
        hub.subscribe(Peer(), "t")


async def test_before_accept_nothing_is_delivered(serve: Serve, hub: Hub) -> None:
    accepting = asyncio.Event()

    async def handler(ws: Peer) -> None:
        hub.subscribe(ws, "t")
        await accepting.wait()
        await ws.accept_handshake(None, [])
        await ws.receive()

    server = serve(handler, hub=hub)
    client = server.client()
    await client.send(client.protocol.request())
    await until(lambda: hub.count("t") == 1)
    assert hub.publish("t", b"too early", True) == 0
    accepting.set()
    assert (await client.event())[0] == "accepted"
    assert hub.publish("t", b"now", True) == 1
    assert await client.message() == "now"


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("orders.*", "orders.1", True),
        ("orders.*", "orders.1.items", True),
        ("orders.*", "orders.", True),
        ("orders.*", "orders", False),
        ("orders.*", "order.1", False),
        ("*", "anything", True),
        ("*", "$user:1", False),
        ("$user:*", "$user:1", True),
        ("$*", "$", True),
        ("Grüße*", "Grüße", True),
        ("Gr\u00fc*", "Gru\u0308", False),
        ("日*", "日本", True),
        ("x日*", "x🎉", False),
    ],
)
async def test_patterns(server: Server, hub: Hub, pattern: str, topic: str, matches: bool) -> None:
    await subscriber(server, hub, pattern)
    assert hub.count(topic) == int(matches)
    assert hub.publish(topic, b"x", True) == int(matches)


async def test_who_matches_several_times_gets_it_once(server: Server, hub: Hub) -> None:
    first, _ = await subscriber(server, hub, "a.b", "a.*", "*")
    second, _ = await subscriber(server, hub, "a.*")
    assert hub.count("a.b") == 2
    assert hub.publish("a.b", b"one", True) == 2
    assert hub.publish("z", b"two", True) == 1
    assert [await first.message(), await first.message()] == ["one", "two"]
    assert await second.message() == "one"


async def test_the_last_pattern_leaves_nothing_behind(server: Server, hub: Hub) -> None:
    _, peer = await subscriber(server, hub, "a.*", "b.*")
    for pattern in ("a.*", "b.*"):
        assert hub.count(pattern[:-1] + "x") == 1
        hub.unsubscribe(peer, pattern)
        assert hub.count(pattern[:-1] + "x") == 0
    assert hub.topics() == []


async def test_a_callback_decides_what_is_sent(server: Server, hub: Hub) -> None:
    client, peer = await server.open()
    plain, _ = await subscriber(server, hub, "t")
    seen: list[Any] = []

    def callback(message: str | bytes) -> str | bytes | None:
        seen.append(message)
        return {"drop": None, "text": "TEXT", "binary": b"BINARY"}[str(message)]

    hub.subscribe(peer, "t", callback)
    assert hub.publish("t", b"drop", True) == 1
    assert hub.publish("t", b"text", True) == 2
    assert hub.publish("t", b"binary", True) == 2
    assert [await client.message(), await client.message()] == ["TEXT", b"BINARY"]
    assert [await plain.message() for _ in range(3)] == seen == ["drop", "text", "binary"]


async def test_a_plain_subscription_beats_callbacks(server: Server, hub: Hub) -> None:
    client, peer = await server.open()
    hub.subscribe(peer, "a.*", lambda _: "from the pattern")
    hub.subscribe(peer, "a.b", lambda _: None)
    assert hub.publish("a.b", b"x", True) == 1
    hub.subscribe(peer, "a.b")
    assert hub.publish("a.b", b"as it is", True) == 1
    assert [await client.message(), await client.message()] == ["from the pattern", "as it is"]


async def test_a_callback_may_change_the_subscriptions(server: Server, hub: Hub) -> None:
    client, peer = await server.open()

    def leave(message: str | bytes) -> str:
        hub.unsubscribe(peer, "t")
        hub.publish("t", b"to nobody", True)
        return "last"

    hub.subscribe(peer, "t", leave)
    assert hub.publish("t", b"x", True) == 1
    assert hub.publish("t", b"x", True) == 0
    assert await client.message() == "last"


async def test_what_a_callback_raises_is_raised(server: Server, hub: Hub) -> None:
    _, peer = await server.open()

    def fail(message: str | bytes) -> str:
        raise LookupError("no")

    hub.subscribe(peer, "t", fail)
    with pytest.raises(LookupError):
        hub.publish("t", b"x", True)


async def test_a_text_must_be_utf8(server: Server, hub: Hub) -> None:
    await subscriber(server, hub, "t")
    with pytest.raises(UnicodeDecodeError):
        hub.publish("t", b"\xff", True)


async def test_from_another_thread(server: Server, hub: Hub) -> None:
    client, _ = await subscriber(server, hub, "t")
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(hub.publish("t", b"from afar", True)))
    thread.start()
    assert await client.message() == "from afar"
    thread.join()
    assert counts == [1]


async def test_one_who_does_not_read_is_closed_and_holds_up_nobody(serve: Serve, hub: Hub) -> None:
    server = serve(hub=hub, outbound_limit=256 * 1024, close_timeout=0.2)
    slow, _ = await server.open(buffer=4096)
    good, _ = await server.open()
    for peer in server.peers:
        hub.subscribe(peer, "t")
    message = b"x" * 65536
    for _ in range(20):
        hub.publish("t", message, False)
        assert await good.message() == message
    assert server.reactor.counters["slow_consumers"] == 1
    assert hub.publish("t", b"end", True) == 1
    assert await good.message() == "end"
    slow.drop()


async def test_what_is_subscribed_is_listed(server: Server, hub: Hub) -> None:
    _, peer = await subscriber(server, hub, "b", "a.*", "c")
    assert hub.topics_of(peer) == ["b", "a.*", "c"]
    assert sorted(hub.topics()) == ["a.*", "b", "c"]
    assert peer.hub is hub


async def test_subscriptions_are_counted_without_the_library_s_own(server: Server, hub: Hub) -> None:
    _, peer = await subscriber(server, hub, "x", "x", "y*", "$own")
    assert hub.subscriptions(peer) == 2
    hub.unsubscribe(peer, "x")
    assert hub.subscriptions(peer) == 1


async def test_many_members_come_and_go(server: Server, hub: Hub) -> None:
    members = [await subscriber(server, hub, "t", f"own:{number}") for number in range(60)]
    for _, peer in members[::2]:
        hub.unsubscribe(peer, "t")
    assert hub.publish("t", b"x", True) == 30
    for client, _ in members[1::2]:
        assert await client.message() == "x"
    assert hub.publish("own:0", b"still", True) == 1
    assert await members[0][0].message() == "still"


async def test_a_closed_reactor_leaves_nothing_in_the_hub(server: Server, hub: Hub) -> None:
    _, peer = await subscriber(server, hub, "t")
    hub.subscribe(peer, "u", lambda message: message)
    gone = weakref.ref(peer)
    del peer
    await server.stop()
    await settle()
    gc.collect()
    assert hub.topics() == []
    assert gone() is None
