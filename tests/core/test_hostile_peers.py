"""Peers that ask for more than their share, come at the wrong time, or leave at it."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from django_bolt import WebSocketDisconnect, _core
from django_bolt.conf import Compression
from tests.core.conftest import Serve
from tests.core.loopback import DEADLINE, Client, Peer, echo, settle, until

ROOT = Path(__file__).resolve().parents[2]
SMALL = 8 * 1024
"""Size for the kernel's buffers, so that little is out of our sight."""


async def answer_of(client: Client) -> bytes:
    """Return all that the server sends until it ends the connection."""
    received = b""
    while data := await client.read():
        received += data
    return received


# ── before the connection is open ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("head_len", [0, 10])
async def test_a_head_that_completes_after_the_server_stopped_listening_is_refused(
    serve: Serve, head_len: int
) -> None:
    server = serve(echo)
    with server.listen() as listener:
        client, other = await server.connect(listener), await server.connect(listener)
        request = client.protocol.request()
        await client.send(request[:head_len])
        await until(lambda: server.reactor.counters["accepted"] == 2)
        server.reactor.stop_listening()
        await client.send(request[head_len:])
        assert (await answer_of(client)).startswith(b"HTTP/1.1 503 ")
        await other.send(b"GET / HTTP/1.1\r\nHost: testserver\r\n\r\n")
        assert (await answer_of(other)).startswith(b"HTTP/1.1 503 ")
    adopted = server.client()
    await adopted.send(adopted.protocol.request())
    assert (await answer_of(adopted)).startswith(b"HTTP/1.1 503 ")
    assert server.peers == []


@pytest.mark.parametrize("end", ["close", "half-close", "reset"])
async def test_the_end_of_tcp_directly_behind_the_head_is_noticed(serve: Serve, end: str) -> None:
    async def handler(ws: Peer) -> None:
        await until(lambda: ws.ready_state == 2, "the end")
        await ws.accept_handshake(None, [])

    server = serve(handler)
    with server.listen() as listener:
        client = await server.connect(listener)
        # Without a turn of the loop, so that the reactor meets head and end at once.
        client.connection.send(client.protocol.request())
        if end == "close":
            client.drop()
        elif end == "reset":
            client.reset()
        else:
            client.connection.shutdown(socket.SHUT_WR)
        if end == "reset":  # The head may be lost with it, and there is no handler then.
            await until(lambda: server.reactor.counters["accepted"] == 1 and not server.peers)
        else:
            assert isinstance(await server.ended(), WebSocketDisconnect)


async def test_refused_peers_that_stay_count_as_connections(serve: Serve) -> None:
    server = serve(echo, max_connections=3, close_timeout=60)
    with server.listen() as listener:
        clients = [await server.connect(listener) for _ in range(10)]
        for client in clients:
            await client.send(b"!\r\n\r\n")
        await until(lambda: server.reactor.counters["rejected"] == 3)
        await settle(20)
        assert server.reactor.counters["accepted"] == 3
        for number, client in enumerate(clients, start=1):
            client.drop()
            await until(lambda gone=number: server.reactor.counters["accepted"] >= min(10, 3 + gone))
        fresh = await (await server.connect(listener)).open()
        await fresh.text("a")
        assert await fresh.message() == "a"


FLOOD = """
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"no head\\r\\n\\r\\n")
end = time.monotonic() + 5
try:
    while time.monotonic() < end:
        connection.send(bytes(1 << 20))
except OSError:
    print("cut off")
"""


async def test_a_refused_peer_that_floods_is_cut_off_and_holds_nobody_up(serve: Serve) -> None:
    server = serve(echo)
    client, _ = await server.open()
    worst = 0.0
    with server.listen() as listener:
        command = [sys.executable, "-S", "-c", FLOOD, str(listener.getsockname()[1])]
        floods = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]  # noqa: ASYNC220  (starting is quick)
        deadline = time.monotonic() + 4 * DEADLINE
        while any(flood.poll() is None for flood in floods):
            began = time.monotonic()
            assert began < deadline
            await client.text("a")
            assert await client.message() == "a"
            worst = max(worst, time.monotonic() - began)
            await asyncio.sleep(0.001)
    assert [flood.communicate()[0] for flood in floods] == [b"cut off\n"] * 2
    assert worst < 2
    assert server.reactor.counters["rejected"] == 2


LACK_OF_DESCRIPTORS = """
import asyncio, os, resource, socket, sys
import uvloop
from tests.core.loopback import Client, Server, echo, until

ROOM, CLIENTS = 3, 8


def fill_gaps():
    highest = max(map(int, os.listdir("/dev/fd")))
    while (lowest := os.dup(0)) <= highest:
        pass
    os.close(lowest)
    return lowest


async def main():
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
    server = Server(echo, handshake_timeout=60)
    server.reactor.start()
    listener = server.listen()
    sockets = [socket.socket() for _ in range(CLIENTS)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fill_gaps() + ROOM, before[1]))
    clients = []
    for connection in sockets:
        connection.connect(listener.getsockname())
        clients.append(Client(connection))
        await asyncio.sleep(0)  # an edge for each
    await until(lambda: server.reactor.counters["accepted"] == ROOM and reports)
    await asyncio.sleep(0.35)  # three more attempts
    (report,) = reports
    assert isinstance(report["exception"], OSError), report
    assert "descriptor" in report["message"], report
    assert server.reactor.counters["accepted"] == ROOM
    clients[0].drop()
    await until(lambda: server.reactor.counters["accepted"] > ROOM)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    await until(lambda: server.reactor.counters["accepted"] == CLIENTS)
    for client in clients[1:]:
        await client.open()
        await client.text("a")
        assert await client.message() == "a"
    assert len(reports) <= 1 + CLIENTS - ROOM, reports
    await server.stop()


new_loop = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]]
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
print("done")
"""


@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
def test_a_lack_of_descriptors_is_reported_once_and_accepting_resumes(loop_name: str) -> None:
    """In a process of its own, whose limit may be lowered."""
    done = subprocess.run(
        [sys.executable, "-c", LACK_OF_DESCRIPTORS, loop_name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


async def test_heads_and_frames_byte_by_byte_in_one_stream(serve: Serve) -> None:
    server = serve(echo)
    client = server.client()
    data = client.protocol.request() + client.protocol.text("early") + client.protocol.binary(b"b" * 200)
    for byte in data:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.event())[0] == "accepted"
    assert [await client.message() for _ in range(2)] == ["early", b"b" * 200]
    await client.end()


# ── what waits to be sent ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_large_message_behind_a_small_one_reaches_a_client_that_reads(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open()
    await ws.send_text("hi")
    await ws.send_bytes(bytes(5_000_000))
    assert await client.message() == "hi"
    assert await client.message() == bytes(5_000_000)
    assert (ws.ready_state, server.reactor.counters["slow_consumers"]) == (1, 0)


async def test_a_burst_of_one_turn_is_offered_to_the_socket_before_it_counts_as_unread(serve: Serve) -> None:
    server = serve()
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        (ws,) = server.peers
        for number in range(100):
            await ws.send_bytes(bytes([number]) * 60_000)
        assert ws.ready_state == 1
        assert [await client.message() for _ in range(100)] == [bytes([i]) * 60_000 for i in range(100)]
    assert server.reactor.counters["slow_consumers"] == 0


async def test_own_sends_without_await_are_bounded(serve: Serve) -> None:
    limit, size, highest = 1 << 20, 100_000, 0

    async def handler(ws: Peer) -> None:
        nonlocal highest
        await ws.accept_handshake(None, [])
        sends = []
        for _ in range(100):
            sends.append(ws.send_bytes(bytes(size)))
            highest = max(highest, ws.buffered_amount)
        await asyncio.gather(*sends)

    server = serve(handler, outbound_limit=limit)
    client = await server.client(SMALL).open()
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert outcome.code == 1013
    assert limit // 2 < highest <= limit + size
    assert server.reactor.counters["slow_consumers"] == 1
    client.drop()


async def test_own_sends_one_after_the_other_may_have_any_size(serve: Serve) -> None:
    sizes = [3_000_000, 0, 10, 2_000_000, 70_000, 3_000_000]

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        for size in sizes:
            await ws.send_bytes(bytes(size))

    server = serve(handler, outbound_limit=100_000)
    client = await server.client().open()
    assert [len(await client.message()) for _ in sizes] == sizes
    assert await server.ended() is None
    assert server.reactor.counters["slow_consumers"] == 0


async def test_what_a_slow_client_still_gets_is_well_formed(serve: Serve) -> None:
    """It is closed in the middle of a large payload: no frame is cut."""
    server = serve(outbound_limit=1 << 20)
    client, ws = await server.open(SMALL)
    sent: list[tuple[str, str | bytes]] = []
    for number in range(200):
        messages = bytes([number]) * 100_000, f"text {number}"
        for message in messages:
            await ws.send(message)
            if ws.ready_state == 1:
                sent.append(("text" if isinstance(message, str) else "bytes", message))
        await asyncio.sleep(0)
    assert ws.close_code == 1013
    *received, close, end = await client.rest()
    assert close[:2] == ("close", 1013)
    assert end == ("eof",)
    assert received == sent


# ── rates ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rate_that_waits_lets_the_allowed_number_pass_and_loses_nothing(serve: Serve) -> None:
    rate, count = 400, 600
    got: list[tuple[str | bytes, float]] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async for message in ws:
            got.append((message, time.monotonic()))  # noqa: PERF401  (the time of each counts)

    server = serve(handler, message_rate=rate, rate_waits=True)
    # The bucket is full at the opening handshake and refills from then on.
    began = time.monotonic()
    client, ws = await server.open()
    await client.text(*map(str, range(count)))
    await until(lambda: len(got) == count)
    assert [message for message, _ in got] == list(map(str, range(count)))
    for number, (_, at) in enumerate(got):
        assert number <= rate * (1 + at - began) + 2
    # And no wait is longer than the rate demands, however slow the machine is otherwise.
    assert got[-1][1] - began < 3
    assert (ws.ready_state, server.reactor.counters["rate_limited"]) == (1, 0)
    await client.end()


async def test_a_rate_of_almost_nothing_waits_for_ever(serve: Serve) -> None:
    """The time until the next message is more milliseconds than a clock counts."""
    got: list[str | bytes] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async for message in ws:
            got.append(message)  # noqa: PERF401  (it does not end)

    server = serve(handler, message_rate=1e-300, rate_waits=True)
    client, _ = await server.open()
    await client.text(*map(str, range(5)))
    await until(lambda: got)
    await settle(20)
    await client.text("more")
    await settle(20)
    assert len(got) <= 2


# ── everything at once ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {"inbound_limit": 0, "ping_interval": 0.05},
        {"inbound_limit": 1},
        {"inbound_limit": 2000, "ping_interval": 0.05, "message_rate": 1500, "rate_waits": True},
    ],
    ids=str,
)
async def test_an_echo_is_whole_and_in_order_whatever_waits(serve: Serve, options: dict[str, Any]) -> None:
    """Random sizes, pauses and limits: a wake-up that is lost would hang it."""
    chance = random.Random(len(options))

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async for message in ws:
            if chance.random() < 0.2:
                await asyncio.sleep(chance.choice([0, 0.0005]))
            if chance.random() < 0.3:
                await asyncio.create_task(_send(ws, message))
            else:
                await ws.send(message)

    server = serve(handler, **options)
    client, _ = await server.open(SMALL)
    sizes = [0, 1, 20, 125, 126, 3000, 20_000, 65_535, 65_536, 200_000]
    messages = [bytes([number]) * chance.choice(sizes) for number in range(60)]
    data = b"".join(map(client.protocol.binary, messages))

    async def write() -> None:
        position = 0
        while position < len(data):
            size = chance.choice([1, 10, 1000, 60_000, 500_000])
            await client.send(data[position : position + size])
            position += size

    writing = asyncio.create_task(write())
    received: list[Any] = []
    while len(received) < len(messages):
        kind, value = await client.event()
        if kind != "ping":
            received.append(value)
        if chance.random() < 0.1:
            await asyncio.sleep(0.001)
    await writing
    assert received == messages


async def _send(ws: Peer, message: str | bytes) -> None:
    await ws.send(message)


async def test_everybody_gets_what_was_sent_through_shared_compressors(serve: Serve) -> None:
    """The same objects as text and binary, to connections with the same and other wishes."""
    chance = random.Random(20)
    wishes = [
        Compression(min_size=10),
        Compression(min_size=10),
        Compression(min_size=10, level=6),
        Compression(min_size=10, server_no_context_takeover=False),
        Compression(min_size=500),
        Compression(min_size=10, server_max_window_bits=10),
    ]
    left = iter(wishes)

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [], next(left))
        await ws.receive()

    server = serve(handler, outbound_limit=1 << 30)
    clients = []
    for _ in wishes:
        client = server.client()
        client.protocol = _core.ClientProtocol("/", "testserver", compression=True)
        clients.append(await client.open())
    expected: list[list[tuple[str, str | bytes]]] = [[] for _ in clients]
    objects = [_random_message(chance) for _ in range(6)]
    for _ in range(80):
        if chance.random() < 0.2:
            objects[chance.randrange(6)] = _random_message(chance)
        message = chance.choice(objects)
        for ws, messages in zip(server.peers, expected, strict=True):
            if isinstance(message, bytes) and chance.random() < 0.3:
                await ws.send_encoded(message)
                messages.append(("text", message.decode()))
            else:
                await ws.send(message)
                messages.append(("text" if isinstance(message, str) else "bytes", message))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    for client, messages in zip(clients, expected, strict=True):
        assert [await client.event() for _ in messages] == messages


def _random_message(chance: random.Random) -> str | bytes:
    size = chance.choice([5, 50, 400, 5000, 70_000, 300_000])
    data = bytes(chance.choices(b"abcd", k=50)) * (size // 50 + 1)
    return data if chance.random() < 0.5 else data.decode()
