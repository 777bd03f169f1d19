from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
import websockets

from django_bolt import WebSocketDisconnect, _core
from tests.core.conftest import Serve
from tests.core.loopback import Client, Peer, Server, disconnect_of, echo, hold, settle, until


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


async def answer_of(client: Client) -> bytes:
    """Return all that the server sends until it ends the connection."""
    received = b""
    while True:
        data = await client.read()
        if not data:
            return received
        received += data


def status_of(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_counters(serve: Serve) -> None:
    server = serve(echo)
    assert set(server.reactor.counters.values()) == {0}
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        assert server.reactor.counters | {"accepted": 1, "opened": 1} == server.reactor.counters
        assert server.reactor.counters["closed"] == 0
        await client.end()
        await server.ended()
        await until(lambda: server.reactor.counters["closed"] == 1)
        second = await server.connect(listener)
        await second.send(second.protocol.request().replace(b"Sec-WebSocket-Key", b"X-Key"))
        assert status_of(await answer_of(second)) == 400
        assert server.reactor.counters["rejected"] == 1
        assert server.reactor.counters["accepted"] == 2


async def test_a_client_that_is_not_ours(serve: Serve) -> None:
    server = serve(echo)
    with server.listen() as listener:
        port = listener.getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}/", proxy=None) as client:
            await client.send("é" * 100_000)
            assert await client.recv() == "é" * 100_000
            await client.send(b"\x00")
            assert await client.recv() == b"\x00"
            await (await client.ping())
        assert client.close_code == 1000


async def test_connections_lists_what_has_not_ended(serve: Serve) -> None:
    server = serve(echo)
    clients = [await server.client().open() for _ in range(3)]
    assert len(server.reactor.connections()) == 3
    await clients[0].end()
    await until(lambda: len(server.reactor.connections()) == 2)


async def test_start_comes_once(serve: Serve) -> None:
    server = serve()
    with pytest.raises(RuntimeError, match="already"):
        server.reactor.start()


async def test_listening_before_start() -> None:
    server = Server(echo)
    with server.listen() as listener:
        client = await server.connect(listener)
        server.reactor.start()
        await client.open()
        await client.text("a")
        assert await client.message() == "a"
    await server.stop()


async def test_close_comes_as_often_as_one_likes_and_ends_every_connection() -> None:
    server = Server(hold)
    server.reactor.start()
    with server.listen() as listener:
        opened = await (await server.connect(listener)).open()
        pending = await server.connect(listener)
        await pending.send(b"GET / HT")
        await until(lambda: server.reactor.counters["accepted"] == 2)
        for task in set(server.tasks):
            task.cancel()
        await until(lambda: not server.tasks)
        await server.close()
        await server.close()
    server.reactor.close()
    assert server.reactor.connections() == []
    for client in (opened, pending):
        assert (await client.rest())[-1] in [("eof",), ("reset",)]
    await server.stop()


async def test_a_closed_reactor_is_freed_with_its_descriptors() -> None:
    """Also where its application leads back to it, as a bound method of its owner does."""
    gc.collect()
    before = open_descriptors()
    server = Server(hold)
    server.reactor.start()
    with server.listen():
        client = server.client()
        await settle()
    await server.stop()
    reference = weakref.ref(server)
    del server, client
    gc.collect()
    assert reference() is None
    assert open_descriptors() == before


async def test_what_is_called_after_close() -> None:
    server = Server(hold)
    server.reactor.start()
    _, ws = await server.open()
    await server.close()
    assert ws.ready_state == 2
    assert ws.close_code == 1006
    await ws.send_text("nobody hears")
    with pytest.raises(WebSocketDisconnect):
        await ws.receive()
    server.reactor.stop_listening()
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(RuntimeError, match="closed"):
        server.reactor.adopt(ours.detach())
    assert theirs.fileno() == -1
    await server.stop()


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_close_within_a_task_wakes_who_waits(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """As a server's shutdown does. No task may run inside another: the others are woken in the loop's next turn.

    With a loop of its own, since a task that is never woken would hang the end of the test's.
    """

    async def main() -> tuple[Server, asyncio.Task[Any]]:
        server = Server(hold)
        server.reactor.start()
        _, ws = await server.open()
        waiting = asyncio.create_task(disconnect_of(ws))
        await settle()
        server.reactor.close()
        await asyncio.wait({waiting}, timeout=1)
        for task in server.tasks:
            task.cancel()
        await asyncio.sleep(0)
        for client in server.clients:
            client.drop()
        return server, waiting

    loop = new_loop()
    try:
        _, waiting = loop.run_until_complete(main())
        assert waiting.done()
        assert waiting.result().code == 1006
    finally:
        loop.close()


async def test_an_unused_reactor_is_freed(serve: Serve) -> None:
    gc.collect()
    before = open_descriptors()
    for _ in range(20):
        _core.Reactor(asyncio.get_running_loop(), Peer, print)
    gc.collect()
    assert open_descriptors() == before


@pytest.mark.parametrize("descriptor", [-1, 10**6])
async def test_descriptors_that_are_none(serve: Serve, descriptor: int) -> None:
    server = serve()
    with pytest.raises((ValueError, OSError)):
        server.reactor.listen(descriptor)
    if descriptor < 0:
        with pytest.raises((ValueError, OSError)):
            server.reactor.adopt(descriptor)


@pytest.mark.parametrize("name", ["handshake_timeout", "ping_interval", "ping_timeout", "close_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_times_that_are_none(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        _core.Options(**{name: value})


# ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_listening_refuses_new_connections_and_keeps_the_old(serve: Serve) -> None:
    server = serve(echo)
    listener = server.listen()
    address = listener.getsockname()
    client = await (await server.connect(listener)).open()
    listener.close()
    server.reactor.stop_listening()
    with socket.socket() as late:
        assert late.connect_ex(address) == errno.ECONNREFUSED
    await client.text("still here")
    assert await client.message() == "still here"


async def test_several_listeners(serve: Serve) -> None:
    server = serve(echo)
    with server.listen() as one, server.listen() as two:
        for listener in (one, two, one):
            client = await (await server.connect(listener)).open()
            await client.text("a")
            assert await client.message() == "a"


async def test_adopt_with_bytes_read_already(serve: Serve) -> None:
    server = serve(echo)
    ours, theirs = socket.socketpair()
    client = Client(theirs)
    server.clients.append(client)
    request = client.protocol.request() + client.protocol.text("early")
    server.reactor.adopt(ours.detach(), request[:50])
    await client.send(request[50:])
    assert (await client.event())[0] == "accepted"
    assert await client.message() == "early"


async def test_adopt_with_the_whole_request_read_already(serve: Serve) -> None:
    server = serve(echo)
    ours, theirs = socket.socketpair()
    client = Client(theirs)
    server.clients.append(client)
    request = client.protocol.request() + client.protocol.text("early")
    server.reactor.adopt(ours.detach(), request, client=("192.0.2.1", 1234), is_secure=True)
    assert (await client.event())[0] == "accepted"
    assert await client.message() == "early"
    (ws,) = server.peers
    assert ws.peer == ("192.0.2.1", 1234)
    assert ws.is_secure


async def test_the_address_of_an_adopted_connection_is_the_socket_s_own(serve: Serve) -> None:
    server = serve()
    _, ws = await server.open()
    assert (ws.peer, ws.is_secure) == (None, False)


async def test_too_many_connections(serve: Serve) -> None:
    server = serve(echo, max_connections=2)
    first, second = [await server.client().open() for _ in range(2)]
    third = server.client()
    await third.send(third.protocol.request())
    response = await answer_of(third)
    assert status_of(response) == 503
    assert b"\r\nRetry-After: " in response
    await first.end()
    await until(lambda: len(server.peers) == 1)
    fourth = await server.client().open()
    for client in (second, fourth):
        await client.text("a")
        assert await client.message() == "a"


async def test_connections_without_a_request_are_limited_and_those_behind_them_wait(serve: Serve) -> None:
    server = serve(echo, max_connections=3)
    with server.listen() as listener:
        silent = [await server.connect(listener) for _ in range(3)]
        await until(lambda: server.reactor.counters["accepted"] == 3)
        waiting = await server.connect(listener)
        await waiting.send(waiting.protocol.request())
        await settle(20)
        assert server.reactor.counters["accepted"] == 3
        silent[0].drop()
        assert (await waiting.event())[0] == "accepted"


# ── the request head ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_head_that_is_too_large(serve: Serve) -> None:
    server = serve(max_head_size=1024)
    client = server.client(headers=[("X-Long", "x" * 2000)])
    await client.send(client.protocol.request())
    assert status_of(await answer_of(client)) == 431
    assert server.reactor.counters["rejected"] == 1


async def test_a_head_that_never_ends(serve: Serve) -> None:
    client = serve(max_head_size=1024).client()
    await client.send(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 5000)
    assert status_of(await answer_of(client)) == 431


async def test_a_head_that_is_too_slow(serve: Serve) -> None:
    server = serve(handshake_timeout=0.05)
    client = server.client()
    await client.send(b"GET / HTTP/1.1\r\n")
    began = time.monotonic()
    assert status_of(await answer_of(client)) == 408
    assert time.monotonic() - began >= 0.04
    assert server.reactor.counters["handshake_timeouts"] == 1


async def test_drops_of_a_head_do_not_extend_the_time(serve: Serve) -> None:
    client = serve(handshake_timeout=0.1).client()
    began = time.monotonic()

    async def drip() -> None:
        while True:
            await client.send(b"x")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    try:
        assert status_of(await answer_of(client)) == 408
    finally:
        dripping.cancel()
        await asyncio.wait({dripping})
    assert time.monotonic() - began < 5
    if not dripping.cancelled():
        assert isinstance(dripping.exception(), OSError)


async def test_an_open_connection_has_no_handshake_timeout(serve: Serve) -> None:
    client, _ = await serve(echo, handshake_timeout=0.02).open()
    await asyncio.sleep(0.1)
    await client.text("a")
    assert await client.message() == "a"


GARBAGE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a key that is none": (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n"
    ),
    "no host": (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ),
}


@pytest.mark.parametrize("request_head", GARBAGE.values(), ids=GARBAGE)
async def test_garbage(serve: Serve, request_head: bytes) -> None:
    server = serve()
    client = server.client()
    await client.send(request_head)
    assert status_of(await answer_of(client)) == 400
    assert server.peers == []


async def test_another_version(serve: Serve) -> None:
    client = serve().client()
    await client.send(client.protocol.request().replace(b"Version: 13", b"Version: 12"))
    response = await answer_of(client)
    assert status_of(response) == 426
    assert b"Sec-WebSocket-Version: 13\r\n" in response


async def test_http_where_there_is_none(serve: Serve) -> None:
    client = serve().client()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(await answer_of(client)) == 426


async def test_a_client_that_leaves_before_its_request(serve: Serve) -> None:
    server = serve()
    with server.listen() as listener:
        before = open_descriptors()
        for data, end in ((b"", Client.drop), (b"GET", Client.reset), (b"GET / HTTP/1.1\r\n", Client.drop)):
            client = await server.connect(listener)
            if data:
                await client.send(data)
            end(client)
        await until(lambda: open_descriptors() == before)
    assert server.peers == []


# ── the application ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_application_that_raises(serve: Serve) -> None:
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    error = ValueError("secret")

    def application(ws: Peer) -> None:
        raise error

    server = serve(application=application)
    client = server.client()
    await client.send(client.protocol.request())
    response = await answer_of(client)
    assert status_of(response) == 500
    assert b"secret" not in response
    assert [context["exception"] for context in logged] == [error]
    logged.clear()
    error.__traceback__ = None
    client.drop()
    await until(lambda: not server.peers)


async def test_a_connection_class_that_raises() -> None:
    class Failing(_core.Connection):
        def __new__(cls) -> Failing:
            raise ValueError("cannot be made")

    logged: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: logged.append(context))
    reactor = _core.Reactor(loop, Failing, print)
    reactor.start()
    ours, theirs = socket.socketpair()
    client = Client(theirs)
    reactor.adopt(ours.detach())
    await client.send(client.protocol.request())
    response = await answer_of(client)
    assert response == b"" or status_of(response) == 500
    assert isinstance(logged[0]["exception"], ValueError)
    client.drop()
    reactor.close()


async def test_an_application_may_answer_at_once(serve: Serve) -> None:
    def application(ws: Peer) -> None:
        ws.accept_handshake(None, [])
        ws.send_text("at once")
        ws.close(4000, "done")

    server = serve(application=application)
    client = await server.client().open()
    assert [await client.event(), await client.event()] == [("text", "at once"), ("close", 4000, "done")]
    await client.send(client.protocol.close(4000))
    assert await client.rest() == [("eof",)]
    await until(lambda: not server.peers)


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_http_is_handed_over_with_its_bytes(serve: Serve) -> None:
    handed: list[tuple[int, bytes, Any, bool]] = []
    server = serve(http=lambda *arguments: handed.append(arguments))
    request = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"
    with server.listen() as listener:
        client = await server.connect(listener)
        for at in range(0, len(request), 7):
            await client.send(request[at : at + 7])
            await asyncio.sleep(0)
        await until(lambda: handed)
        ((descriptor, data, address, is_secure),) = handed
        assert request.startswith(data)
        assert data.endswith(b"\r\n\r\n") or b"\r\n\r\n" in data
        assert address == client.connection.getsockname()
        assert not is_secure
        with socket.socket(fileno=descriptor) as connection:
            connection.setblocking(True)
            connection.settimeout(5)
            await client.send(b"lo")
            rest = b""
            while len(data + rest) < len(request) + 2:
                rest += await asyncio.to_thread(connection.recv, 100)
            assert data + rest == request + b"lo"
            # It is the HTTP server's now: the reactor reads nothing of it.
            await client.send(b"GET /second HTTP/1.1\r\n\r\n")
            await settle()
            assert await asyncio.to_thread(connection.recv, 100) == b"GET /second HTTP/1.1\r\n\r\n"
    assert server.peers == []


async def test_http_keeps_its_connection_alive_and_may_come_back(serve: Serve) -> None:
    """The way of uvicorn's upgrade: the HTTP server gives the socket back with the request it has read."""

    def http(descriptor: int, data: bytes, address: Any, is_secure: bool) -> None:
        connection = socket.socket(fileno=descriptor)
        connection.setblocking(False)
        handed.append((connection, data))

    handed: list[tuple[socket.socket, bytes]] = []
    loop = asyncio.get_running_loop()
    server = serve(echo, http=http)
    client = server.client()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: handed)
    connection, _ = handed[0]
    await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert status_of(await client.read()) == 200
    await client.send(client.protocol.request())
    request = await loop.sock_recv(connection, 10_000)
    server.reactor.adopt(connection.detach(), request)
    assert (await client.event())[0] == "accepted"
    await client.text("a")
    assert await client.message() == "a"


async def test_an_http_callback_that_raises_is_logged(serve: Serve) -> None:
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    error = ValueError("no HTTP today")

    def http(descriptor: int, *_: Any) -> None:
        os.close(descriptor)
        raise error

    client = serve(http=http).client()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await answer_of(client) == b""
    assert [context["exception"] for context in logged] == [error]


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_churn_leaves_nothing_behind(serve: Serve) -> None:
    server = serve(echo)
    await (await server.open())[0].end()
    await until(lambda: not server.peers)
    gc.collect()
    before = open_descriptors()
    references: list[weakref.ref[Peer]] = []
    ends: list[Callable[[Client], Any]] = [Client.end, Client.drop, Client.reset]
    for number in range(500):
        client, ws = await server.open()
        references.append(weakref.ref(ws))
        del ws
        await client.text("a")
        if number % 5:
            assert await client.message() == "a"
        ended = ends[number % 3](client)
        if ended is not None:
            client.events.clear()
            await ended
        server.clients.clear()
        del client
    await server.ended(501)
    await until(lambda: not server.peers)
    server.outcomes.clear()
    gc.collect()
    assert open_descriptors() == before
    assert [reference for reference in references if reference() is not None] == []
    assert server.reactor.counters["closed"] == server.reactor.counters["opened"] == 501


async def test_a_connection_is_freed_without_the_garbage_collector(serve: Serve) -> None:
    server = serve(echo)
    gc.collect()
    gc.disable()
    try:
        client, ws = await server.open()
        reference = weakref.ref(ws)
        del ws
        await client.end()
        await server.ended()
        await until(lambda: not server.tasks)
        await until(lambda: reference() is None, "the connection to be freed")
    finally:
        gc.enable()


async def test_many_at_once(serve: Serve) -> None:
    server = serve(echo)
    with server.listen() as listener:
        clients = await asyncio.gather(*(server.connect(listener) for _ in range(300)))
        await asyncio.gather(*(client.open() for client in clients))
        for client in clients:
            await client.text("a", "b")
        for client in clients:
            assert [await client.message(), await client.message()] == ["a", "b"]
        assert len(server.peers) == 300


async def test_one_busy_connection_does_not_starve_the_others(serve: Serve) -> None:
    server = serve(echo)
    busy, quiet = await server.client().open(), await server.client().open()
    is_over = False

    async def flood() -> None:
        frames = busy.protocol.text("x") * 2000
        while not is_over:
            await busy.send(frames)

    async def swallow() -> None:
        while not is_over:
            await busy.read()

    tasks = [asyncio.create_task(flood()), asyncio.create_task(swallow())]
    for _ in range(20):
        await quiet.text("a")
        assert await asyncio.wait_for(quiet.message(), 5) == "a"
    is_over = True
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_silent_connection_is_pinged(serve: Serve) -> None:
    client, ws = await serve(ping_interval=0.02).open()
    for _ in range(3):
        assert await client.event() == ("ping", b"")
        await client.send(client.protocol.pong(b""))
    assert ws.ready_state == 1


async def test_a_peer_that_answers_no_ping_is_closed(serve: Serve) -> None:
    server = serve(echo, ping_interval=0.02, ping_timeout=0.04)
    client = await server.client().open()
    began = time.monotonic()
    assert await client.rest() == [("ping", b""), ("close", 1011, "ping timeout"), ("eof",)]
    assert time.monotonic() - began >= 0.05
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert outcome.code == 1011
    assert server.reactor.counters["ping_timeouts"] == 1


async def test_a_message_counts_as_an_answer(serve: Serve) -> None:
    server = serve(ping_interval=0.02, ping_timeout=0.1)
    client, ws = await server.open()
    for _ in range(4):
        assert await client.event() == ("ping", b"")
        await client.text("alive")
        assert await ws.receive() == "alive"
    assert ws.ready_state == 1


async def test_a_peer_whose_messages_wait_is_pinged_again_and_not_closed(serve: Serve) -> None:
    """Its pong may be behind them; a ping finds out one that has left."""
    server = serve(ping_interval=0.02, ping_timeout=0.02, inbound_limit=1)
    client, ws = await server.open()
    await client.text("nobody takes this")
    for _ in range(5):
        assert await client.event() == ("ping", b"")
    assert ws.ready_state == 1
    assert await ws.receive() == "nobody takes this"
    assert (await client.rest())[-2:] == [("close", 1011, "ping timeout"), ("eof",)]


async def test_without_ping_timeout_nobody_is_closed(serve: Serve) -> None:
    client, ws = await serve(ping_interval=0.01, ping_timeout=0).open()
    for _ in range(5):
        assert await client.event() == ("ping", b"")
    assert ws.ready_state == 1


async def test_without_ping_interval_nobody_is_pinged(serve: Serve) -> None:
    client, ws = await serve(ping_interval=0, ping_timeout=0.01).open()
    await asyncio.sleep(0.1)
    await client.send(client.protocol.ping(b"own"))
    assert await client.event() == ("pong", b"own")
    assert ws.ready_state == 1


async def test_a_loop_that_was_held_up_takes_nobody_for_dead(serve: Serve) -> None:
    """The answers are in the kernel's buffer while a handler blocks; they count before the timers do."""
    server = serve(echo, ping_interval=0.05, ping_timeout=0.05)
    ours, theirs = socket.socketpair()
    server.reactor.adopt(ours.detach())
    theirs.settimeout(5)
    protocol = _core.ClientProtocol("/", "testserver")
    closes: list[tuple[Any, ...]] = []

    def answer_pings() -> None:
        theirs.sendall(protocol.request())
        while data := theirs.recv(4096):
            for event in protocol.receive_data(data):
                if event[0] == "ping":
                    theirs.sendall(protocol.pong(event[1]))
                elif event[0] == "close":
                    closes.append(event)
                    return

    thread = threading.Thread(target=answer_pings)
    thread.start()
    try:
        await until(lambda: server.peers and server.peers[0].ready_state == 1)
        for _ in range(4):
            await asyncio.sleep(0.06)
            time.sleep(0.2)  # noqa: ASYNC251 - a handler that blocks, which it should not
        assert not closes
        assert server.peers[0].ready_state == 1
    finally:
        theirs.shutdown(socket.SHUT_RDWR)
        thread.join()
        theirs.close()


async def test_a_peer_that_never_answers_close_is_dropped(serve: Serve) -> None:
    server = serve(echo, close_timeout=0.05)
    client, ws = await server.open()
    await ws.close(4000)
    began = time.monotonic()
    events = await client.rest()
    assert events[0] == ("close", 4000, "")
    assert events[1] in [("eof",), ("reset",)]
    assert time.monotonic() - began >= 0.04
    await server.ended()
    await until(lambda: not server.peers)


async def send_without_end(client: Client) -> None:
    while True:
        await client.send(b"x")


async def test_a_peer_that_answers_fail_by_nothing_is_dropped(serve: Serve) -> None:
    server = serve(echo, close_timeout=0.05)
    client, ws = await server.open()
    ws.fail(1008)
    assert await client.rest() == [("close", 1008, ""), ("eof",)]
    await server.ended()
    await until(lambda: not server.peers)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await send_without_end(client)


async def test_a_rejected_peer_that_stays_is_dropped(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.reject_handshake(403, [], b"no")

    server = serve(handler, close_timeout=0.05)
    client = server.client()
    await client.send(client.protocol.request())
    assert (await client.event())[:2] == ("rejected", 403)
    await until(lambda: not server.peers)


async def test_disconnect_grace(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await asyncio.sleep(60)

    server = serve(handler, disconnect_grace=0.1)
    client = await server.client().open()
    began = time.monotonic()
    client.drop()
    assert isinstance(await server.ended(), asyncio.CancelledError)
    assert 0.08 <= time.monotonic() - began < 5
    await until(lambda: not server.peers)


async def test_a_handler_that_ends_in_time_is_not_cancelled(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        await asyncio.sleep(0.02)

    server = serve(handler, disconnect_grace=5)
    client = await server.client().open()
    client.drop()
    assert await server.ended() is None


async def test_without_grace_a_handler_may_go_on(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await release.wait()

    server = serve(handler, disconnect_grace=0)
    client = await server.client().open()
    client.drop()
    await until(lambda: server.reactor.counters["closed"] == 1)
    await asyncio.sleep(0.05)
    assert len(server.tasks) == 1
    release.set()
    assert await server.ended() is None


async def test_timers_of_many_connections(serve: Serve) -> None:
    server = serve(ping_interval=0.05, ping_timeout=1)
    clients = [(await server.open())[0] for _ in range(50)]
    for client in clients:
        assert await client.event() == ("ping", b"")


async def test_an_idle_reactor_does_not_wake_the_loop(serve: Serve) -> None:
    """No busy polling: between a connection's timers nothing runs."""
    server = serve()
    await server.open()
    before = time.thread_time()
    await asyncio.sleep(0.2)
    assert time.thread_time() - before < 0.1


async def test_linger_of_a_refused_client_ends(serve: Serve) -> None:
    """A refused client that neither reads nor leaves must not keep its descriptor."""
    server = serve(close_timeout=0.05, max_head_size=512)
    with server.listen() as listener:
        before = open_descriptors()
        client = await server.connect(listener)
        await client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
        await until(lambda: server.reactor.counters["rejected"] == 1)
        await until(lambda: open_descriptors() == before + 1, "the server's descriptor to be closed")
        linger = struct.pack("ii", 1, 0)
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
