from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_bolt import WebSocketDisconnect
from tests.core.conftest import Serve
from tests.core.loopback import Client, Peer, echo, settle, until

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024
READ_SIZE = 64 * 1024
SMALL = 8 * 1024
"""Size for the kernel's buffers, so that little is out of our sight."""


async def stands_still(value: Any) -> Any:
    """Wait until a value changes no more; returns it."""
    last, since = value(), 0
    while since < 20:
        await asyncio.sleep(0.001)
        now = value()
        last, since = now, since + 1 if now == last else 0
    return last


def is_done_at_once(awaitable: Any) -> bool:
    """Whether an operation completes without suspending."""
    try:
        awaitable.send(None)
    except StopIteration:
        return True
    awaitable.close()
    return False


async def send_until_stuck(client: Client, data: bytes, most: int) -> int:
    """Send as long as the server takes it; returns how many bytes it took."""
    sent, still = 0, 0
    while still < 20 and sent < most:
        try:
            count = client.connection.send(data[sent % len(data) :])
        except BlockingIOError:
            count = 0
        sent, still = sent + count, 0 if count else still + 1
        await asyncio.sleep(0 if count else 0.001)
    return sent


# ── the own handler ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_own_send_waits_for_a_client_that_does_not_read(serve: Serve) -> None:
    sent = 0
    count, size = 100, 10_000

    async def handler(ws: Peer) -> None:
        nonlocal sent
        await ws.accept_handshake(None, [])
        for number in range(count):
            await ws.send_text(f"{number:0{size}}")
            sent += 1

    server = serve(handler)
    client = await server.client(SMALL).open()
    assert await stands_still(lambda: sent) < 20
    (ws,) = server.peers
    assert LOW_WATER <= ws.buffered_amount < HIGH_WATER + 2 * size
    for number in range(count):
        assert await client.message() == f"{number:0{size}}"
    assert await server.ended() is None
    assert server.reactor.counters["slow_consumers"] == 0


async def test_a_receive_waits_while_the_client_does_not_read(serve: Serve) -> None:
    received: list[str | bytes] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await ws.send_bytes(bytes(4 * HIGH_WATER))
        received.append(await ws.receive())
        received.append(await ws.receive())

    server = serve(handler)
    client = await server.client(SMALL).open()
    await client.text("one", "two")
    await settle(20)
    assert received == []
    assert await client.message() == bytes(4 * HIGH_WATER)
    assert await server.ended() is None
    assert received == ["one", "two"]


async def test_an_echo_cannot_be_made_to_produce_without_end(serve: Serve) -> None:
    server = serve(echo, inbound_limit=64 * 1024)
    client = await server.client(SMALL).open()
    message = client.protocol.text("x" * 1000)
    sent = await send_until_stuck(client, message, 10 << 20)
    assert sent < HIGH_WATER + 64 * 1024 + 4 * READ_SIZE
    (ws,) = server.peers
    assert ws.buffered_amount < HIGH_WATER + 2 * READ_SIZE
    finishing = asyncio.create_task(client.send(message[sent % len(message) :]))
    for _ in range(sent // len(message) + 1):
        assert await client.message() == "x" * 1000
    await finishing


async def test_a_task_started_by_the_handler_counts_as_its_own(serve: Serve) -> None:
    sent = 0

    async def produce(ws: Peer) -> None:
        nonlocal sent
        for _ in range(100):
            await ws.send_bytes(bytes(10_000))
            sent += 1

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async with asyncio.TaskGroup() as group:
            group.create_task(produce(ws))

    server = serve(handler)
    client = await server.client(SMALL).open()
    assert await stands_still(lambda: sent) < 20
    for _ in range(100):
        assert len(await client.message()) == 10_000
    assert await server.ended() is None


async def test_the_wait_of_an_own_send_can_be_given_up_and_its_message_goes_once(serve: Serve) -> None:
    outcomes: list[str] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await ws.send_bytes(bytes(4 * HIGH_WATER))
        try:
            async with asyncio.timeout(0.01):
                await ws.send_text("once")
        except TimeoutError:
            outcomes.append("timeout")
        await ws.send_text("after")

    server = serve(handler)
    client = await server.client(SMALL).open()
    await until(lambda: outcomes)
    assert [len(await client.message()), await client.message(), await client.message()] == [
        4 * HIGH_WATER,
        "once",
        "after",
    ]
    assert await server.ended() is None


@pytest.mark.parametrize("end", ["drop", "reset"])
async def test_a_client_that_leaves_ends_the_wait_of_a_send(serve: Serve, end: str) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        while True:
            await ws.send_bytes(bytes(50_000))

    server = serve(handler)
    client = await server.client(SMALL).open()
    await until(lambda: server.peers[0].buffered_amount >= HIGH_WATER)
    getattr(client, end)()
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert outcome.code == 1006


async def test_own_tasks_wait_together_and_go_on_together(serve: Serve) -> None:
    sent = [0] * 5

    async def produce(ws: Peer, which: int) -> None:
        for _ in range(20):
            await ws.send_bytes(bytes(10_000))
            sent[which] += 1

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await asyncio.gather(*(produce(ws, which) for which in range(5)))

    server = serve(handler, outbound_limit=1 << 20)
    client = await server.client(SMALL).open()
    assert await stands_still(lambda: sum(sent)) < 30
    for _ in range(100):
        assert len(await client.message()) == 10_000
    assert await server.ended() is None
    assert sent == [20] * 5


async def test_own_sends_that_nobody_awaits_are_bounded_too(serve: Serve) -> None:
    """A handler that fires off tasks, each waiting: past the limit its client counts as too slow."""

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(_send(ws, bytes(10_000)))

    server = serve(handler, outbound_limit=1 << 20)
    client = await server.client(SMALL).open()
    (ws,) = server.peers
    await until(lambda: ws.ready_state == 2)
    assert ws.close_code == 1013
    assert server.reactor.counters["slow_consumers"] == 1
    client.drop()
    assert isinstance(await server.ended(), ExceptionGroup)


async def _send(ws: Peer, data: bytes) -> None:
    await ws.send_bytes(data)


async def test_one_own_message_may_exceed_the_limit(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await ws.send_bytes(bytes(1 << 20))
        await ws.send_bytes(bytes(1 << 20))

    server = serve(handler, outbound_limit=100_000)
    client = await server.client(SMALL).open()
    assert [len(await client.message()) for _ in range(2)] == [1 << 20] * 2
    assert await server.ended() is None
    assert server.reactor.counters["slow_consumers"] == 0


# ── other connections ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_send_to_another_connection_never_waits(serve: Serve) -> None:
    server = serve(outbound_limit=10 << 20)
    client, ws = await server.open(SMALL)
    for number in range(50):
        assert is_done_at_once(ws.send_bytes(bytes([number]) * 100_000))
    assert ws.buffered_amount > 40 * 100_000
    for number in range(50):
        assert await client.message() == bytes([number]) * 100_000
    assert ws.buffered_amount == 0


async def test_another_handler_is_no_own_handler(serve: Serve) -> None:
    done: list[bool] = []
    peers: list[Peer] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        peers.append(ws)
        async for _ in ws.iter_text():
            done.extend(is_done_at_once(peers[0].send_bytes(bytes(100_000))) for _ in range(10))
            await ws.send_text("sent")

    server = serve(handler)
    await server.client(SMALL).open()
    sender = await server.client().open()
    await sender.text("go")
    assert await sender.message() == "sent"
    assert done == [True] * 10


async def test_a_client_that_is_too_slow_is_closed_and_the_others_get_everything(serve: Serve) -> None:
    """The broadcast of the specification, with one client that reads nothing."""
    clients: set[Peer] = set()
    sizes: list[int] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        clients.add(ws)
        try:
            async for message in ws.iter_text():
                size = len(clients)
                for client in clients:
                    await client.send_text(message)
                sizes.append(size - len(clients))
        finally:
            clients.discard(ws)

    server = serve(handler, outbound_limit=200_000)
    slow = await server.client(SMALL).open()
    (slow_ws,) = server.peers
    others = [await server.client().open() for _ in range(5)]
    await until(lambda: len(clients) == 6)
    messages = [f"{number:010000}" for number in range(100)]
    reading = [asyncio.create_task(_read(client, len(messages))) for client in others]
    for message in messages:
        await others[0].text(message)
        await until(
            lambda: server.peers and all(ws.buffered_amount == 0 for ws in server.peers if ws is not slow_ws)
        )
    assert await asyncio.gather(*reading) == [messages] * 5
    assert slow_ws.close_code == 1013
    assert server.reactor.counters["slow_consumers"] == 1
    assert slow_ws not in clients
    assert sizes == [0] * 100
    slow.drop()
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert outcome.code == 1013


async def _read(client: Client, count: int) -> list[str | bytes]:
    return [await client.message() for _ in range(count)]


async def test_the_slow_client_sees_why(serve: Serve) -> None:
    server = serve(outbound_limit=100_000)
    client, ws = await server.open(SMALL)
    for _ in range(20):
        ws.send_bytes(bytes(10_000))
    events = await client.rest()
    assert events[-2:] == [("close", 1013, "too slow"), ("eof",)]
    assert 8 <= len(events) - 2 < 20
    assert {event[0] for event in events[:-2]} == {"bytes"}


async def test_a_single_message_to_an_idle_client_may_exceed_the_limit(serve: Serve) -> None:
    server = serve(outbound_limit=100_000)
    client, ws = await server.open(SMALL)
    ws.send_bytes(bytes(1 << 20))
    assert await client.message() == bytes(1 << 20)
    assert server.reactor.counters["slow_consumers"] == 0


async def test_a_dead_client_is_dropped_though_it_holds_much(serve: Serve) -> None:
    """Closed as too slow, it takes neither the rest nor the Close frame: the closing timeout ends it."""
    server = serve(outbound_limit=100_000, close_timeout=0.05)
    _, ws = await server.open(SMALL)
    for _ in range(20):
        ws.send_bytes(bytes(10_000))
    for task in set(server.tasks):
        task.cancel()
    await until(lambda: not server.peers)
    assert ws.buffered_amount == 0


async def test_a_send_in_a_plain_task_does_not_become_own_by_a_handler_elsewhere(serve: Serve) -> None:
    server = serve(outbound_limit=10 << 20)
    client, ws = await server.open(SMALL)

    async def background() -> int:
        for _ in range(10):
            await ws.send_bytes(bytes(100_000))
        return ws.buffered_amount

    assert await asyncio.wait_for(asyncio.create_task(background()), 1) > 900_000
    assert [len(message) for message in await _read(client, 10)] == [100_000] * 10


# ── floods ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 125])
async def test_a_flood_of_pings_from_a_client_that_does_not_read(serve: Serve, size: int) -> None:
    server = serve()
    client, ws = await server.open(SMALL)
    ping = client.protocol.ping(bytes(size))
    sent = await send_until_stuck(client, ping * 1000, 20 << 20)
    assert sent < 20 << 20
    assert ws.buffered_amount < HIGH_WATER + 2 * READ_SIZE
    assert ws.ready_state == 1
    # Whole frames only: the rest of the one that was cut.
    finishing = asyncio.create_task(client.send(ping[sent % len(ping) :]))
    for _ in range(sent // len(ping) + 1):
        assert await client.event() == ("pong", bytes(size))
    await finishing


@pytest.mark.parametrize("size", [1, 1000, 100_000])
async def test_a_flood_of_messages_that_the_handler_does_not_take(serve: Serve, size: int) -> None:
    limit = 256 * 1024
    server = serve(inbound_limit=limit)
    client, ws = await server.open(SMALL)
    message = client.protocol.binary(b"m" * size)
    sent = await send_until_stuck(client, message * 100, 20 << 20)
    assert sent < limit + 4 * READ_SIZE
    finishing = asyncio.create_task(client.send(message[sent % len(message) :], client.protocol.text("end")))
    for _ in range(sent // len(message) + 1):
        assert await ws.receive() == b"m" * size
    assert await asyncio.wait_for(ws.receive(), 5) == "end"
    await finishing


async def test_reading_goes_on_for_others_while_it_is_paused_for_one(serve: Serve) -> None:
    server = serve(inbound_limit=10_000)
    flooding, _ = await server.open(SMALL)
    await send_until_stuck(flooding, flooding.protocol.binary(bytes(1000)) * 100, 10 << 20)
    client, ws = await server.open()
    await client.text("a")
    assert await asyncio.wait_for(ws.receive(), 1) == "a"


async def test_a_close_behind_a_flood_is_seen_once_the_flood_is_taken(serve: Serve) -> None:
    server = serve(inbound_limit=10_000)
    client, ws = await server.open(SMALL)
    frames = client.protocol.binary(bytes(1000)) * 100 + client.protocol.close(4000)
    sending = asyncio.create_task(client.send(frames))
    await settle(20)
    assert ws.ready_state == 1
    for _ in range(100):
        assert await ws.receive() == bytes(1000)
    with pytest.raises(WebSocketDisconnect) as caught:
        await asyncio.wait_for(ws.receive(), 5)
    assert caught.value.code == 4000
    await sending


@pytest.mark.parametrize("echoes", [True, False])
async def test_a_burst_of_small_messages_comes_whole_and_in_order(serve: Serve, echoes: bool) -> None:
    received: list[str | bytes] = []

    async def keep(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async for message in ws:
            received.append(message)
            await ws.send_text("") if len(received) == 10_000 else None

    server = serve(echo if echoes else keep)
    client = await server.client().open()
    messages = [str(number) for number in range(10_000)]
    sending = asyncio.create_task(client.text(*messages))
    if echoes:
        assert await _read(client, 10_000) == messages
    else:
        assert await client.message() == ""
        assert received == messages
    await sending


async def test_a_burst_from_a_handler_comes_whole_and_in_order(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        for number in range(10_000):
            await ws.send_text(str(number))

    server = serve(handler)
    client = await server.client().open()
    assert await _read(client, 10_000) == [str(number) for number in range(10_000)]
    assert await server.ended() is None


async def test_a_slow_reader_that_reads_is_not_taken_for_dead(serve: Serve) -> None:
    """Its pong waits behind what it has not read yet."""

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        for _ in range(30):
            await ws.send_bytes(bytes(20_000))

    server = serve(handler, ping_interval=0.05, ping_timeout=0.1)
    client = await server.client(SMALL).open()
    received = 0
    while received < 400_000:
        received += len(await client.read(8_000))
        await asyncio.sleep(0.005)
    (ws,) = server.peers
    assert ws.ready_state == 1
    assert server.reactor.counters["ping_timeouts"] == 0
