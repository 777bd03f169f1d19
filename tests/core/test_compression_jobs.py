"""Messages that are compressed in slices of the reactor's turns, and what others have of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.core.compressing import (
    BINARY,
    KIB,
    MIB,
    NOISE,
    SLOW,
    TEXT,
    accepting,
    listen,
    open_compressed,
    open_wire,
    prose,
    sending,
    slices,
    visiting,
)
from tests.core.conftest import Serve
from tests.core.loopback import Client, Peer, until

MOST_TURNS = 5
"""Of the loop, for an echo: its bytes, the handler and the answer each wait for a turn."""


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """Count no more."""
        self._handle.cancel()


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    turns = Turns()
    yield turns
    turns.stop()


# ── what arrives ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("forgets", [True, False], ids=["alone", "takeover"])
@pytest.mark.parametrize("level", range(1, 10))
async def test_messages_of_any_size_arrive_in_order(serve: Serve, level: int, forgets: bool) -> None:
    """Sizes around all that the compressor tells apart; with takeover, each may refer to those before."""
    sizes = [3, 4 * KIB, 4 * KIB + 1, 33 * KIB, 300 * KIB, 70 * KIB, 20, 64 * KIB, 64 * KIB + 1, 5 * KIB]
    messages: list[str | bytes] = [prose(size) for size in sizes]
    messages[4:4] = [NOISE[: 100 * KIB], b"", prose(300 * KIB).encode()]
    server = serve(accepting(sending(*messages), level=level, server_no_context_takeover=forgets))
    async with visiting(server) as client:
        assert [await client.recv() for _ in messages] == messages
    assert slices(server) > 0


async def test_a_large_message_is_one_compressed_frame(serve: Serve) -> None:
    text = prose(2 * MIB)
    server = serve(accepting(sending(text), level=6))
    wire, _ = await open_wire(server)
    assert await wire.frame() == (TEXT, text.encode(), True)
    assert slices(server) > 1


async def test_mutable_data_is_sent_as_it_was(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        data = bytearray(prose(300 * KIB).encode())
        await ws.send(data)
        data[:] = bytes(len(data))
        await ws.send(memoryview(data))

    wire, _ = await open_wire(serve(accepting(handler)))
    assert await wire.frame() == (BINARY, prose(300 * KIB).encode(), True)
    assert await wire.frame() == (BINARY, bytes(300 * KIB), True)


async def test_what_does_not_get_smaller_is_left_alone(serve: Serve) -> None:
    """Its beginning tells: only that is compressed."""
    server = serve(accepting(listen, level=6))
    wire, ws = await open_wire(server)
    await ws.send(NOISE)
    assert await wire.frame() == (BINARY, NOISE, False)
    noise = slices(server)
    await ws.send(prose(MIB))
    assert await wire.frame() == (TEXT, prose(MIB).encode(), True)
    assert noise < (slices(server) - noise) / 2


# ── others ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def echo_beside(client: Client, turns: Turns, times: int) -> list[int]:
    """Return how many turns of the loop each echo took."""
    counts = []
    for number in range(times):
        before = turns.count
        await client.text(f"{number}")
        assert await client.message() == f"{number}"
        counts.append(turns.count - before)
    return counts


async def test_an_echo_beside_64_mb_at_level_9_takes_a_few_turns(serve: Serve, turns: Turns) -> None:
    server = serve(accepting(echo_or_flood, level=9))
    bystander, _ = await open_compressed(server)
    greedy, ws = await open_compressed(server)
    await greedy.text("flood")
    await until(lambda: slices(server))
    counts = await echo_beside(bystander, turns, 50)
    assert ws.buffered_amount >= 8 * MIB, "the first message is still being compressed"
    assert max(counts) <= MOST_TURNS
    assert slices(server) >= 50
    assert slices(server) <= turns.count


async def echo_or_flood(ws: Peer) -> None:
    """Send back what comes; or 64 MB, if that is asked for."""
    async for received in ws:
        message = prose(8 * MIB) if received == "flood" else ""
        for number in range(8 if message else 0):
            await ws.send(f"{number}{message}")
        await ws.send(received)


async def test_an_echo_beside_many_messages_in_one_turn(serve: Serve, turns: Turns) -> None:
    """None of them takes long; all together do. They wait, too, when the turn's time is over."""
    server = serve(accepting(echo_or_flood, level=3))
    bystander, _ = await open_compressed(server)
    crowd = [await open_compressed(server) for _ in range(30)]
    texts = [f"{number}{prose(60 * KIB)}" for number in range(30)]
    for (_, ws), text in zip(crowd, texts, strict=True):
        await ws.send(text)
    plain = [ws for _, ws in crowd if ws.buffered_amount >= 60 * KIB]
    assert len(plain) > 10, "a turn has not time for all"
    counts = await echo_beside(bystander, turns, 1)
    assert counts[0] <= MOST_TURNS
    for (client, _), text in zip(crowd, texts, strict=True):
        assert await client.message() == text


async def test_short_messages_pass_long_ones_of_others(serve: Serve) -> None:
    server = serve(accepting(listen, level=9))
    _, slow = await open_compressed(server)
    client, quick = await open_compressed(server)
    await slow.send(SLOW)
    await quick.send(prose(20 * KIB))
    assert await client.message() == prose(20 * KIB)
    assert slow.buffered_amount >= len(SLOW)


async def test_long_messages_take_turns(serve: Serve) -> None:
    """Ten are more than are under way at a time."""
    server = serve(accepting(listen, level=9))
    crowd = [await open_compressed(server) for _ in range(11)]
    await crowd[0][1].send(SLOW)
    for number, (_, ws) in enumerate(crowd[1:]):
        await ws.send(f"{number}{prose(100 * KIB)}")
    for number, (client, _) in enumerate(crowd[1:]):
        assert await client.message() == f"{number}{prose(100 * KIB)}"
    assert crowd[0][1].buffered_amount >= len(SLOW)


async def test_a_broadcast_is_compressed_once(serve: Serve) -> None:
    server = serve(accepting(listen, level=9))
    crowd = [await open_compressed(server) for _ in range(40)]
    first, second = SLOW[: 64 * KIB], prose(200 * KIB)
    await crowd[0][1].send(bytes(bytearray(first)))
    assert await crowd[0][0].message() == first
    alone = slices(server)
    for message in (first, second):
        for _, ws in crowd:
            await ws.send(message)
    for client, _ in crowd:
        assert [await client.message(), await client.message()] == [first, second]
    assert slices(server) - alone < 4 * alone
