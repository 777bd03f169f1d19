"""What passes through the relay between TLS and the reactor, and how either end ends."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from django_bolt import _core
from django_bolt.server import tls_relay
from django_bolt.server.tls import Certificate
from tests.core.loopback import Handler, Peer, Server, disconnect_of, hold, until
from tests.server.encrypted import DEADLINE, KIB, MIB, Client, Encrypted, Serve


@pytest.mark.parametrize("size", [0, 1, 125, 126, 16_384, 65_536, MIB])
async def test_messages_come_back(serve: Serve, size: int) -> None:
    client = await (await serve()).open()
    for _ in range(3):
        assert await client.echoes(b"x" * size)
    await client.send(client.protocol.close(1000, "bye"))
    assert await client.event() == ("close", 1000, "")
    assert await client.event() == ("eof",)


async def test_many_messages_come_back_in_order(serve: Serve) -> None:
    client = await (await serve()).open()
    sending = asyncio.ensure_future(
        client.send(b"".join(client.protocol.text(str(number)) for number in range(5000)))
    )
    for number in range(5000):
        assert await client.event() == ("text", str(number))
    await sending


async def test_a_handler_knows_the_client_and_that_it_came_over_tls(serve: Serve) -> None:
    encrypted = await serve(hold)
    client = await encrypted.open()
    [peer] = encrypted.server.peers
    assert peer.peer == client.writer.get_extra_info("sockname")
    assert peer.is_secure


class OfTheLink(asyncio.Transport):
    """A client's transport, whose address holds on one link only."""

    is_read = False

    def __init__(self) -> None:
        super().__init__({"peername": ("fe80::1%eth0", 4711, 0, 2)})

    def abort(self) -> None:
        raise AssertionError("not to be ended")

    def resume_reading(self) -> None:
        self.is_read = True


class Adopting:
    """A reactor that notes whom it gets, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.clients: list[object] = []

    def adopt(self, descriptor: int, *, client: object, is_secure: bool) -> None:
        os.close(descriptor)
        if self.error is not None:
            raise self.error
        self.clients.append(client)


async def join(reactor: Any) -> OfTheLink:
    relay = tls_relay.Encrypted(tls_relay.Surroundings(reactor, set()))
    relay.transport = transport = OfTheLink()
    try:
        await relay.join_reactor()
    finally:
        plain = relay.other
        assert plain is not None
        relay.transport, plain.other = None, None
        assert plain.transport is not None
        plain.transport.abort()
        await asyncio.sleep(0)
    return transport


async def test_a_client_of_the_same_link_is_known_by_its_address() -> None:
    reactor = Adopting()
    assert (await join(reactor)).is_read
    assert reactor.clients == [("fe80::1", 4711)]


async def test_a_client_that_the_reactor_does_not_take_is_not_left_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aborted = []

    def abort(transport: OfTheLink) -> None:
        aborted.append(transport)

    monkeypatch.setattr(OfTheLink, "abort", abort)
    with pytest.raises(RuntimeError, match="closed"):
        await join(Adopting(RuntimeError("the reactor is closed")))
    assert len(aborted) == 1


async def test_http_1_1_is_agreed_on(serve: Serve, certificate: Certificate) -> None:
    trust = ssl.create_default_context(cafile=certificate.chain)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    encrypted = await serve()
    encrypted.trust = trust
    client = await encrypted.connect()
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


# ── backpressure ─────────────────────────────────────────────────────────────────────────────────────────


async def _settled(count: Callable[[], int]) -> int:
    """Wait until a count stands still; returns it."""
    last, since = -1, time.monotonic()
    async with asyncio.timeout(DEADLINE):
        while time.monotonic() - since < 0.3:
            if count() != last:
                last, since = count(), time.monotonic()
            await asyncio.sleep(0.02)
    return last


async def test_a_client_that_does_not_read_makes_its_handler_wait(serve: Serve) -> None:
    message, total, sent = b"x" * 64 * KIB, 1000, 0

    async def produce(ws: Peer) -> None:
        nonlocal sent
        await ws.accept_handshake(None, [])
        for _ in range(total):
            await ws.send_bytes(message)
            sent += 1
        await ws.close(1000)

    client = await (await serve(produce)).open()
    waiting_at = await _settled(lambda: sent)
    assert waiting_at * len(message) < 16 * MIB, "the kernel's and asyncio's buffers, and no more"
    for _ in range(total):
        assert await client.event() == ("bytes", message)
    assert (await client.event())[:2] == ("close", 1000)
    assert sent == total


async def push(client: Client, message: bytes, count: int, passed: list[int]) -> None:
    """Send messages, and keep the number of those that the transport took."""
    for number in range(count):
        client.writer.write(client.protocol.binary(message))
        await client.writer.drain()
        passed.append(number)


async def test_a_handler_that_does_not_receive_makes_its_client_wait(serve: Serve) -> None:
    message, total = b"x" * 64 * KIB, 1000
    go_on, passed = asyncio.Event(), list[int]()

    async def consume(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await go_on.wait()
        for _ in range(total):
            assert await ws.receive() == message
        await ws.send_text("all")

    client = await (await serve(consume)).open()
    pushing = asyncio.ensure_future(push(client, message, total, passed))
    assert await _settled(lambda: len(passed)) * len(message) < 16 * MIB
    assert not pushing.done()
    go_on.set()
    assert await client.event() == ("text", "all")
    await pushing
    assert len(passed) == total


async def test_one_slow_client_does_not_slow_another(serve: Serve) -> None:
    encrypted = await serve()
    slow, quick = await encrypted.open(), await encrypted.open()
    flood = asyncio.ensure_future(push(slow, b"x" * 64 * KIB, 1000, []))
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        assert await quick.echoes(b"x" * KIB)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
    assert not flood.done(), "nobody reads its echoes, so it is not read either"
    flood.cancel()


# ── endings ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def received() -> list[Any]:
    """What the handler of `receiving` got: messages, then the close code."""
    return []


@pytest.fixture
def receiving(received: list[Any]) -> Handler:
    """A handler that receives a message, and then how the connection ends."""

    async def receive_all(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        received.append(await ws.receive())
        received.append((await disconnect_of(ws)).code)

    return receive_all


def _half_close_tcp(client: Client) -> None:
    connection: socket.socket = client.writer.get_extra_info("socket")
    connection.shutdown(socket.SHUT_WR)


def _close_tls(client: Client) -> None:
    client.writer.close()


def _reset(client: Client) -> None:
    connection: socket.socket = client.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


@pytest.mark.parametrize("leave", [_half_close_tcp, _close_tls, _reset])
async def test_a_client_that_leaves_without_a_close_frame(
    serve: Serve, receiving: Handler, received: list[Any], leave: Callable[[Client], None]
) -> None:
    encrypted = await serve(receiving)
    client = await encrypted.open()
    await client.send(client.protocol.text("last words"))
    await until(lambda: received, "the message")
    leave(client)
    await encrypted.server.ended()
    assert received == ["last words", 1006]
    await until(lambda: not encrypted.server.peers, "the end of the connection")


async def test_half_an_end_ends_the_whole(serve: Serve, receiving: Handler, received: list[Any]) -> None:
    """TLS has no half ends: what was sent before is delivered, and the answer is the end."""
    encrypted = await serve(receiving)
    client = await encrypted.open()
    await client.send(client.protocol.text("last words"))
    _half_close_tcp(client)
    assert await client.event() == ("eof",)
    await encrypted.server.ended()
    assert received == ["last words", 1006]


async def test_what_was_sent_before_the_end_arrives(serve: Serve) -> None:
    async def say_much(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        for number in range(20):
            await ws.send_bytes(bytes([number]) * 100_000)
        await ws.close(4000, "enough")

    client = await (await serve(say_much)).open()
    for number in range(20):
        assert await client.event() == ("bytes", bytes([number]) * 100_000)
    assert await client.event() == ("close", 4000, "enough")
    await client.send(client.protocol.close(4000))
    assert await client.event() == ("eof",)


async def test_a_connection_that_the_server_fails_ends_at_once(serve: Serve) -> None:
    client = await (await serve()).open()
    await client.send(b"\xf1\x80\x00\x00\x00\x00")  # reserved bits
    assert (await client.event())[:2] == ("close", 1002)
    began = time.monotonic()
    assert await client.event() == ("eof",)
    assert time.monotonic() - began < 1


async def test_clients_that_come_and_vanish_leave_nothing(serve: Serve) -> None:
    encrypted = await serve()
    for number in range(20):
        client = await encrypted.connect()
        if number % 2:
            await client.open()
        _reset(client)
    await encrypted.server.ended(10)
    await until(lambda: not encrypted.server.peers and not encrypted.server.tasks, "their end")
    await until(lambda: not encrypted.outside, "the end of those that never came to the reactor")
    assert await (await encrypted.open()).echoes()


async def flood(client: Client) -> None:
    """Send until the server does not read any more."""
    passed = list[int]()
    pushing = asyncio.ensure_future(push(client, b"x" * 64 * KIB, 1000, passed))
    await _settled(lambda: len(passed))
    pushing.cancel()
    with suppress(asyncio.CancelledError):
        await pushing


@pytest.mark.parametrize("is_pinged", [True, False], ids=["by a ping", "by looking"])
async def test_a_client_that_floods_and_resets_is_forgotten(
    certificate: Certificate, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, is_pinged: bool
) -> None:
    """What it has sent and nobody has read does not keep it until the ping timeout, which is a minute here."""
    monkeypatch.setattr("django_bolt.server.tls_relay.STALL_TIMEOUT", 60 if is_pinged else 0.3)
    interval = 1.0 if is_pinged else 60.0
    server = Server(hold, ping_interval=interval, ping_timeout=60.0, disconnect_grace=0.1)
    encrypted = Encrypted(server, certificate, trust)
    await encrypted.start()
    client = await encrypted.open()
    await flood(client)
    _reset(client)
    await server.ended()
    await encrypted.stop()


async def test_after_the_end_of_listening_those_who_are_in_stay(serve: Serve) -> None:
    encrypted = await serve()
    client = await encrypted.open()
    encrypted.tls.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        await encrypted.connect()
    assert await client.echoes(b"x" * MIB)


async def test_without_descriptors_a_connection_is_dropped_and_the_next_is_served(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encrypted = await serve()

    def fail() -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("django_bolt.server.tls_relay.socket.socketpair", fail)
        client = await encrypted.connect()
        assert await client.event() == ("eof",)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "django_bolt.server"
    assert "Too many open files" in record.getMessage()
    assert await (await encrypted.open()).echoes()


async def _say_too_much(ws: Peer) -> None:
    """Send until the client has taken nothing for a moment, and end."""
    await ws.accept_handshake(None, [])
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while True:
                await ws.send_bytes(bytes(64 * KIB))
    await ws.close(1000)


async def _open_deaf(encrypted: Encrypted) -> ssl.SSLSocket:
    """Return a client after both handshakes that reads only when it is told to."""

    def connect() -> ssl.SSLSocket:
        client = encrypted.trust.wrap_socket(encrypted.plain(), server_hostname="127.0.0.1")
        client.sendall(_core.ClientProtocol("/", "testserver").request())
        return client

    return await asyncio.to_thread(connect)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc/self/fd")


@needs_proc
async def test_a_client_that_never_reads_is_dropped_after_the_reactor_is_done_with_it(
    certificate: Certificate, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_bolt.server.tls_relay.STALL_TIMEOUT", 0.3)
    encrypted = Encrypted(Server(_say_too_much, close_timeout=0.2), certificate, trust)
    await encrypted.start()
    before = _descriptors()
    with await _open_deaf(encrypted):
        await encrypted.server.ended()
        await until(
            lambda: _descriptors() <= before + 1, "the end of the relay, but for the client's own socket"
        )
    await encrypted.stop()


def read_slowly(client: ssl.SSLSocket, pause: float) -> int:
    """Read to the end, and return the number of bytes."""
    count = 0
    while data := client.recv(16 * KIB):
        count += len(data)
        time.sleep(pause)
    return count


async def test_a_client_that_reads_slowly_gets_what_is_left(
    certificate: Certificate, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reactor does not know it any more, and it is counted for MAX_CONNECTIONS all the same."""
    monkeypatch.setattr("django_bolt.server.tls_relay.STALL_TIMEOUT", 0.3)
    encrypted = Encrypted(Server(_say_too_much, close_timeout=0.2), certificate, trust, max_connections=1)
    await encrypted.start()
    with await _open_deaf(encrypted) as client:
        await encrypted.server.ended()
        await until(lambda: not encrypted.server.reactor.connections(), "the reactor's end of it")
        reading = asyncio.ensure_future(asyncio.to_thread(read_slowly, client, 0.006))
        await until(lambda: encrypted.outside, "the look at it")
        waiting = asyncio.ensure_future(encrypted.connect())
        await asyncio.wait({waiting, reading}, timeout=0.2)
        assert not waiting.done()
        assert not reading.done()
        assert await reading > 500 * KIB
    await waiting
    await encrypted.stop()
