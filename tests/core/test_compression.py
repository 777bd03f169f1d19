"""Messages that are compressed in slices of the reactor's turns, and what happens around them meanwhile."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from django_bolt import WebSocketDisconnect, _core
from django_bolt.compression import Compression
from tests.core.conftest import Serve
from tests.core.loopback import Client, Handler, Peer, Server, settle, until

KIB, MIB = 1 << 10, 1 << 20
CHANCE = random.Random(7692)
SLOW = bytes(CHANCE.choices(b"ab", k=512 * KIB))
"""Takes more than half a second at level 9."""
NOISE = CHANCE.randbytes(MIB)
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
MOST_TURNS = 5
"""Of the loop, for an echo: its bytes, the handler and the answer each wait for a turn."""


def prose(size: int) -> str:
    """Return text like that of a JSON API."""
    lines = (f'{{"id": {number}, "value": {number * number % 9973}}},' for number in range(size // 20))
    return "".join(lines)[:size]


def accepting(handler: Handler, **wishes: Any) -> Handler:
    """Return a handler that accepts with permessage-deflate before it runs another."""

    async def accept(ws: Peer) -> None:
        await ws.accept_handshake(None, [], Compression(**wishes))
        await handler(ws)

    return accept


async def listen(ws: Peer) -> None:
    """Leave the rest to the test, until the client goes."""
    try:
        while True:
            await ws.receive()
    except WebSocketDisconnect:
        pass


def sending(*messages: str | bytes) -> Callable[[Peer], Coroutine[Any, Any, None]]:
    """Return a handler that sends messages, and ends."""

    async def handler(ws: Peer) -> None:
        for message in messages:
            await ws.send(message)

    return handler


async def open_compressed(server: Server, buffer: int = 0) -> tuple[Client, Peer]:
    """Return both sides of a connection that agreed on compression, without context takeover."""
    client = server.client(buffer)
    client.protocol = _core.ClientProtocol("/", "testserver", compression=True)
    await client.open()
    return client, server.peers[-1]


class Wire:
    """The bytes of a connection as they come, frame by frame."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.received = b""

    async def open(self) -> Wire:
        """Send the opening handshake, and read the answer."""
        offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        await self.client.send(self.client.protocol.request()[:-4] + offer)
        while b"\r\n\r\n" not in self.received:
            self.received += await self.client.read()
        self.received = self.received.partition(b"\r\n\r\n")[2]
        return self

    async def _take(self, size: int) -> bytes:
        while len(self.received) < size:
            data = await self.client.read()
            assert data, "the connection ended"
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    async def frame(self) -> tuple[int, bytes, bool]:
        """Return opcode and payload of a frame that is a whole message, and whether it was compressed."""
        first, length = await self._take(2)
        assert first & 0x80, "a fragment"
        if length >= 126:
            length = int.from_bytes(await self._take(2 if length == 126 else 8))
        payload = await self._take(length)
        is_compressed = bool(first & 0x40)
        if is_compressed:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return first & 0x0F, payload, is_compressed


async def open_wire(server: Server, buffer: int = 0) -> tuple[Wire, Peer]:
    """Return the bytes and the server's side of a connection that agreed on compression."""
    wire = await Wire(server.client(buffer)).open()
    return wire, server.peers[-1]


@asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[ClientConnection]:
    """Connect with the library websockets, which keeps its context."""
    with server.listen() as listener:
        host, port = listener.getsockname()
        async with connect(f"ws://{host}:{port}/", max_size=None, ping_interval=None) as client:
            yield client


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


def slices(server: Server) -> int:
    """Return how many pieces of work were done."""
    return server.reactor.counters["compression_slices"]


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
    assert slow.buffered_amount == len(SLOW)


async def test_long_messages_take_turns(serve: Serve) -> None:
    """Ten are more than are under way at a time."""
    server = serve(accepting(listen, level=9))
    crowd = [await open_compressed(server) for _ in range(11)]
    await crowd[0][1].send(SLOW)
    for number, (_, ws) in enumerate(crowd[1:]):
        await ws.send(f"{number}{prose(100 * KIB)}")
    for number, (client, _) in enumerate(crowd[1:]):
        assert await client.message() == f"{number}{prose(100 * KIB)}"
    assert crowd[0][1].buffered_amount == len(SLOW)


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


# ── the same connection ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_sent_behind_waits_behind(serve: Serve) -> None:
    """And counts in `buffered_amount` by its length before."""
    server = serve(accepting(listen, level=9))
    wire, ws = await open_wire(server)
    text = prose(100 * KIB)
    for message in ("before", text, "short", text[:5000], NOISE[:5000], text):
        await ws.send(message)
    assert ws.buffered_amount == len("before") + 2 + 2 * len(text) + len("short") + 10_000
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


async def sending_then_listening(ws: Peer) -> None:
    """Send a long message, and then none."""
    await ws.send(prose(300 * KIB))
    await listen(ws)


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
