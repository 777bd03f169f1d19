"""One connection while a message of it is being compressed: order, waiting, limits and the end."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from django_bolt import WebSocketDisconnect
from tests.core.compressing import (
    BINARY,
    CLOSE,
    KIB,
    NOISE,
    PING,
    SLOW,
    TEXT,
    accepting,
    listen,
    open_compressed,
    open_wire,
    prose,
    sending,
    sending_then_listening,
    slices,
    visiting,
)
from tests.core.conftest import Serve
from tests.core.loopback import Peer, Server, settle, until

# ── the same connection ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_sent_behind_waits_behind(serve: Serve) -> None:
    """And counts in `buffered_amount` by its length before."""
    server = serve(accepting(listen, level=9))
    wire, ws = await open_wire(server)
    text = prose(100 * KIB)
    for message in ("before", text, "short", text[:5000], NOISE[:5000], text):
        await ws.send(message)
    payloads = len("before") + 2 * len(text) + len("short") + 2 * 5000
    assert payloads < ws.buffered_amount < payloads + 1000
    await ws.close(4000, "done")
    frames = [await wire.frame() for _ in range(7)]
    assert [payload for _, payload, _ in frames] == [
        b"before",
        text.encode(),
        b"short",
        text[:5000].encode(),
        NOISE[:5000],
        text.encode(),
        b"\x0f\xa0done",
    ]
    assert [is_compressed for _, _, is_compressed in frames] == [False, True, False, True, False, True, False]


async def test_a_flood_of_small_messages_behind_counts_as_what_it_takes(serve: Serve) -> None:
    server = serve(accepting(listen, level=9), outbound_limit=1_000_000)
    client, ws = await open_compressed(server)
    await ws.send(SLOW)
    before = ws.buffered_amount
    for number in range(50_000):
        await ws.send(str(number % 10))
    assert ws.buffered_amount - before == 50_000 * 3
    assert await client.message() == SLOW
    assert [await client.message() for _ in range(50_000)] == [str(number % 10) for number in range(50_000)]


async def test_own_sends_wait_for_it(serve: Serve) -> None:
    sent = 0

    async def handler(ws: Peer) -> None:
        nonlocal sent
        for _ in range(3):
            await ws.send(prose(100 * KIB))
            sent += 1

    server = serve(accepting(handler, level=9))
    client, _ = await open_compressed(server)
    await until(lambda: sent)
    assert sent == 1
    for _ in range(3):
        assert await client.message() == prose(100 * KIB)
    await server.ended()
    assert sent == 3


async def test_a_send_that_is_cancelled_while_it_waits_has_sent(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.send(SLOW[: 64 * KIB])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await ws.send(prose(100 * KIB))
        await ws.send("after")

    client, _ = await open_compressed(server := serve(accepting(handler, level=9)))
    assert [await client.message() for _ in range(3)] == [SLOW[: 64 * KIB], prose(100 * KIB), "after"]
    assert await server.ended() is None


async def test_pings_go_ahead(serve: Serve) -> None:
    server = serve(accepting(listen, level=9), ping_interval=0.02, ping_timeout=0.05)
    wire, ws = await open_wire(server)
    await ws.send(SLOW[: 200 * KIB])
    assert (await wire.frame())[0] == PING
    while (frame := await wire.frame())[0] == PING:
        pass
    assert frame == (BINARY, SLOW[: 200 * KIB], True)
    assert server.reactor.counters["ping_timeouts"] == 0, "we kept it waiting"


async def test_a_pong_goes_ahead(serve: Serve) -> None:
    """While little is buffered, what comes is read."""
    server = serve(accepting(listen, level=9))
    client, ws = await open_compressed(server)
    await ws.send(SLOW[: 60 * KIB])
    await client.send(client.protocol.ping(b"there?"))
    assert await client.event() == ("pong", b"there?")
    assert await client.message() == SLOW[: 60 * KIB]


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [4000, 1011], ids=["close", "fail"])
async def test_the_close_frame_comes_behind_it(serve: Serve, code: int) -> None:
    async def handler(ws: Peer) -> None:
        await ws.send(prose(300 * KIB))
        if code == 1011:
            ws.fail(code)
        else:
            await ws.close(code)
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    server = serve(accepting(handler, level=9))
    client, _ = await open_compressed(server)
    assert await client.message() == prose(300 * KIB)
    assert await client.event() == ("close", code, "")
    await client.send(client.protocol.close(code))
    assert await client.rest() == [("eof",)]
    client.drop()
    await until(lambda: server.reactor.counters["closed"] == 1)


async def test_the_clients_close_frame_is_answered_behind_it(serve: Serve) -> None:
    server = serve(accepting(sending_then_listening, level=9))
    client, _ = await open_compressed(server)
    await client.send(client.protocol.close(4001))
    assert await client.message() == prose(300 * KIB)
    assert await client.rest() == [("close", 4001, ""), ("eof",)]


async def test_a_client_that_half_closes_gets_it(serve: Serve) -> None:
    server = serve(accepting(sending_then_listening, level=9))
    client, _ = await open_compressed(server)
    client.connection.shutdown(1)
    assert await client.message() == prose(300 * KIB)
    assert await client.rest() == [("eof",)]
    await until(lambda: server.reactor.counters["closed"] == 1)


@pytest.mark.parametrize("forgets", [True, False], ids=["alone", "takeover"])
async def test_nothing_is_compressed_for_a_client_that_vanished(serve: Serve, forgets: bool) -> None:
    server = serve(accepting(listen, level=9, server_no_context_takeover=forgets))
    wire, ws = await open_wire(server)
    await ws.send(SLOW)
    await ws.send(SLOW)
    await until(lambda: slices(server))
    wire.client.drop()
    await until(lambda: server.reactor.counters["closed"] == 1)
    assert ws.buffered_amount == 0
    done = slices(server)
    await settle()
    assert slices(server) == done
    await server.ended()


async def test_the_others_of_a_broadcast_get_it_when_one_vanishes(serve: Serve) -> None:
    server = serve(accepting(listen, level=9))
    crowd = [await open_compressed(server) for _ in range(3)]
    for _, ws in crowd:
        await ws.send(SLOW[: 100 * KIB])
    crowd[0][0].drop()
    await until(lambda: server.reactor.counters["closed"] == 1)
    for client, _ in crowd[1:]:
        assert await client.message() == SLOW[: 100 * KIB]


async def test_the_handler_may_be_cancelled_meanwhile(serve: Serve) -> None:
    server = serve(accepting(sending_then_listening, level=9))
    client, _ = await open_compressed(server)
    for task in server.tasks:
        task.cancel()
    assert isinstance(await server.ended(), asyncio.CancelledError)
    assert await client.message() == prose(300 * KIB)


async def test_the_reactor_may_be_closed_meanwhile(serve: Serve) -> None:
    server = serve(accepting(listen, level=9))
    client, ws = await open_compressed(server)
    await ws.send(SLOW)
    await until(lambda: slices(server))
    await server.close()
    assert await client.rest() == [("eof",)]
    assert ws.buffered_amount == 0


# ── compressing is never what ends a connection ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("forgets", [True, False], ids=["alone", "takeover"])
async def test_what_no_longer_fits_into_the_outbound_buffer_goes_plain(serve: Serve, forgets: bool) -> None:
    """The client reads; it is we who are slow."""
    wishes = {"level": 9, "server_no_context_takeover": forgets}
    server = serve(accepting(listen, **wishes), outbound_limit=500_000)
    wire, ws = await open_wire(server, 400_000)
    data = [SLOW[start : start + 180_000] for start in range(0, 540_000, 180_000)][:3]
    for message in data:
        await ws.send(message)
    assert [await wire.frame() for _ in range(2)] == [(BINARY, message, False) for message in data[:2]]
    assert await wire.frame() == (BINARY, data[2], True)
    assert server.reactor.counters["slow_consumers"] == 0
    await ws.send("x" * 5000)
    assert await wire.frame() == (TEXT, b"x" * 5000, True)


async def test_what_is_not_compressed_by_the_closing_timeout_goes_plain(serve: Serve) -> None:
    server = serve(accepting(sending(4 * SLOW), level=9), close_timeout=0.2)
    wire, ws = await open_wire(server)
    await ws.close()
    opcode, payload, is_compressed = await wire.frame()
    assert (opcode, is_compressed) == (BINARY, False)
    assert payload == 4 * SLOW
    assert (await wire.frame())[0] == CLOSE


async def test_a_slow_client_is_closed_all_the_same(serve: Serve) -> None:
    server = serve(accepting(listen, level=9), outbound_limit=500_000)
    client, ws = await open_compressed(server, 8 * KIB)
    for _ in range(4):
        await ws.send(SLOW[: 200 * KIB])
    assert server.reactor.counters["slow_consumers"] == 1
    assert (await client.rest())[-2:] == [("close", 1013, "too slow"), ("eof",)]


# ── chance ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(6))
async def test_random_sizes_and_pauses(serve: Serve, seed: int) -> None:
    """Each client gets what was sent to it, in order, and then its Close frame."""
    chance = random.Random(seed)
    wishes = {"level": chance.choice([1, 6, 9]), "server_no_context_takeover": bool(seed & 1)}
    server = serve(accepting(listen, **wishes), outbound_limit=1 << 30)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(visiting(server)) for _ in range(6)]
        await talk(server, clients, chance)


async def talk(server: Server, clients: list[ClientConnection], chance: random.Random) -> None:
    """Send random messages to random clients, and see them read."""
    texts = [prose(size) for size in (10, 900, 3 * KIB, 30 * KIB, 90 * KIB, 200 * KIB)]
    expected: list[list[str | bytes]] = [[] for _ in clients]
    for _ in range(60):
        message = chance.choice(texts)
        one = chance.randrange(9)
        for index in range(6) if one >= 6 else [one]:
            await server.peers[index].send(message)
            expected[index].append(message)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0.001]))
    for ws in server.peers:
        await ws.close(4000)
    for client, messages in zip(clients, expected, strict=True):
        assert [await client.recv() for _ in messages] == messages
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 4000
