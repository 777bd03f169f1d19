"""TLS in front of the reactor: the relay by itself on the test's own loop, and the server as a user starts it."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import socket
import ssl
import struct
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from django_bolt import _core
from django_bolt.server.tls import Certificate, TLSListener, make_context
from tests.core.loopback import Handler, Peer, Server, disconnect_of, echo, hold, until
from tests.server.own_site import OwnSite, Running

KIB, MIB = 1 << 10, 1 << 20
DEADLINE = 10.0
"""Seconds after which a test gives up."""


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make a certificate for localhost that vouches for itself."""
    chain, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return Certificate(str(chain), str(key))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The server's certificate."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "chain")


@pytest.fixture(scope="module")
def trust(certificate: Certificate) -> ssl.SSLContext:
    """What a client needs to verify it."""
    return ssl.create_default_context(cafile=certificate.chain)


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_and_its_key_may_be_one_file(certificate: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(Path(certificate.chain).read_bytes() + Path(str(certificate.key)).read_bytes())
    assert make_context(Certificate(str(both))).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_file_that_is_not_there(certificate: Certificate, tmp_path: Path) -> None:
    for wrong in (
        Certificate(str(tmp_path / "nowhere.pem"), certificate.key),
        Certificate(certificate.chain, str(tmp_path / "nowhere.pem")),
    ):
        with pytest.raises(FileNotFoundError):
            make_context(wrong)


def test_a_key_that_is_none_or_another_certificates(certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other")
    for key in (other.key, certificate.chain, None):
        with pytest.raises(ssl.SSLError):
            make_context(Certificate(certificate.chain, key))


# ── the relay ────────────────────────────────────────────────────────────────────────────────────────────


class Encrypted:
    """A reactor behind TLS, on a port of the loopback interface.

    Args:
        server: The reactor.
        certificate: The server's.
        trust: The clients'.
        handshake_timeout: Seconds for the TLS handshake.
    """

    def __init__(
        self, server: Server, certificate: Certificate, trust: ssl.SSLContext, handshake_timeout: float
    ) -> None:
        self.server = server
        self.tls = TLSListener(server.reactor, certificate, handshake_timeout)
        self.trust = trust
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[Client] = []

    async def start(self) -> None:
        """Accept."""
        self.server.reactor.start()
        await self.tls.listen(self._listener)

    async def connect(self, **options: Any) -> Client:
        """Return a client after the TLS handshake."""
        connection = asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust, **options)
        reader, writer = await asyncio.wait_for(connection, DEADLINE)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def open(self) -> Client:
        """Return a client after both handshakes."""
        client = await self.connect()
        return await client.open()

    def plain(self) -> socket.socket:
        """Return a TCP connection that has not said anything."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    async def stop(self) -> None:
        """End everything."""
        self.tls.stop_listening()
        for client in self._clients:
            client.writer.transport.abort()
        await self.server.stop()


class Client:
    """The client's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = _core.ClientProtocol("/", "testserver")
        self._events: list[tuple[Any, ...]] = []

    async def open(self) -> Client:
        """Do the opening handshake."""
        await self.send(self.protocol.request())
        assert (await self.event())[0] == "accepted"
        return self

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), DEADLINE)

    async def event(self) -> tuple[Any, ...]:
        """Return the next event; ``("eof",)`` at the end, which may be one by a reset."""
        while not self._events:
            with suppress(ConnectionError):
                data = await asyncio.wait_for(self.reader.read(MIB), DEADLINE)
            if not data:
                return ("eof",)
            self._events.extend(self.protocol.receive_data(data))
        return self._events.pop(0)

    async def echoes(self, message: bytes = b"hello") -> bool:
        """Ask an echo for an answer, sending and receiving at once."""
        sending = asyncio.ensure_future(self.send(self.protocol.binary(message)))
        found = await self.event()
        await sending
        return found == ("bytes", message)


Serve = Callable[..., Awaitable[Encrypted]]


@pytest.fixture
async def serve(certificate: Certificate, trust: ssl.SSLContext) -> AsyncIterator[Serve]:
    """Return a function that starts a reactor behind TLS with a handler; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler = echo, handshake_timeout: float = 5.0) -> Encrypted:
            encrypted = Encrypted(Server(handler), certificate, trust, handshake_timeout)
            stack.push_async_callback(encrypted.stop)
            await encrypted.start()
            return encrypted

        yield start


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
    assert await (await encrypted.open()).echoes()


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
        patch.setattr("django_bolt.server.tls.socket.socketpair", fail)
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
    monkeypatch.setattr("django_bolt.server.tls.STALL_TIMEOUT", 0.3)
    encrypted = Encrypted(Server(_say_too_much, close_timeout=0.2), certificate, trust, 5.0)
    await encrypted.start()
    before = _descriptors()
    with await _open_deaf(encrypted):
        await encrypted.server.ended()
        await until(
            lambda: _descriptors() <= before + 1, "the end of the relay, but for the client's own socket"
        )
    await encrypted.stop()


async def test_a_client_that_reads_slowly_gets_what_is_left(
    certificate: Certificate, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_bolt.server.tls.STALL_TIMEOUT", 0.5)
    encrypted = Encrypted(Server(_say_too_much, close_timeout=0.2), certificate, trust, 5.0)
    await encrypted.start()

    def read_slowly(client: ssl.SSLSocket) -> int:
        count = 0
        while data := client.recv(16 * KIB):
            count += len(data)
            time.sleep(0.005)
        return count

    with await _open_deaf(encrypted) as client:
        await encrypted.server.ended()
        await until(lambda: not encrypted.server.reactor.connections(), "the reactor's end of it")
        assert await asyncio.to_thread(read_slowly, client) > 500 * KIB
    await encrypted.stop()


# ── TLS handshakes that are none ─────────────────────────────────────────────────────────────────────────

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The beginning of one of 512 bytes."""


async def _end_of(connection: socket.socket) -> float:
    """Wait for the end of a connection that gets no answer in plain; returns the seconds it took."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    received = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while data := await loop.sock_recv(connection, KIB):
                received += data
    assert not received or received[0] == 0x15, "a TLS alert, if anything"
    return time.monotonic() - began


@pytest.mark.parametrize("beginning", [b"", HELLO[:1], HELLO], ids=["silence", "one byte", "half a hello"])
async def test_a_handshake_that_does_not_end_has_a_deadline(serve: Serve, beginning: bytes) -> None:
    encrypted = await serve(handshake_timeout=0.4)
    with encrypted.plain() as connection:
        connection.sendall(beginning)
        assert 0.3 < await _end_of(connection) < 2
    assert encrypted.server.reactor.connections() == []
    assert await (await encrypted.open()).echoes()


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        _core.ClientProtocol("/", "localhost").request(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(1000),
        b"\xff" * 70_000,
    ],
    ids=["HTTP", "WebSocket", "HTTP/2", "zeros", "noise"],
)
async def test_what_is_no_tls_is_ended_without_waiting_for_a_deadline(serve: Serve, beginning: bytes) -> None:
    encrypted = await serve()
    with encrypted.plain() as connection:
        with suppress(ConnectionError):
            connection.sendall(beginning)
        assert await _end_of(connection) < 2
    assert encrypted.server.reactor.connections() == []
    assert await (await encrypted.open()).echoes()


async def test_after_it_the_request_head_has_a_deadline_of_its_own(
    certificate: Certificate, trust: ssl.SSLContext
) -> None:
    server = Server(echo, handshake_timeout=0.3)
    encrypted = Encrypted(server, certificate, trust, handshake_timeout=5.0)
    await encrypted.start()
    try:
        client = await encrypted.connect()
        began = time.monotonic()
        await client.send(b"GET / HTTP/1.1\r\n")
        assert (await client.event())[:2] == ("rejected", 408)
        assert 0.2 < time.monotonic() - began < 2
    finally:
        await encrypted.stop()


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────

URLS = """
import json
from django.http import JsonResponse
from django.urls import path


def page(request):
    found = {
        "scheme": request.scheme,
        "secure": request.is_secure(),
        "address": request.META.get("REMOTE_ADDR"),
        "url": request.build_absolute_uri(),
        "length": len(request.body),
    }
    return JsonResponse(found)


from django.views.decorators.csrf import csrf_exempt
urlpatterns = [path("page/", csrf_exempt(page))]
"""
API = """
from django_bolt import BoltAPI, WebSocket

api = BoltAPI()


@api.websocket("/ws/client")
async def client(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_json({"client": websocket.client, "url": websocket.url, "secure": websocket.is_secure})
    async for message in websocket:
        await websocket.send(message)
"""


@pytest.fixture
def site(own_site: OwnSite) -> OwnSite:
    """The site with a page and an endpoint that say how they are reached."""
    own_site.write("own_site/urls.py", URLS)
    own_site.write("own_site/api.py", API)
    return own_site


def start(site: OwnSite, certificate: Certificate, *arguments: str, **settings: Any) -> Running:
    """Serve with TLS."""
    files = ["--ssl-certfile", certificate.chain, "--ssl-keyfile", str(certificate.key)]
    return site.start("--noreload", *files, *arguments, **settings)


def test_pages_and_endpoints_see_https_and_the_client(
    site: OwnSite, certificate: Certificate, trust: ssl.SSLContext
) -> None:
    with start(site, certificate) as running:
        assert "at https://127.0.0.1:" in running.banner
        page = f"{running.url}page/"
        with urllib.request.urlopen(page, context=trust) as response:
            found = response.read()
        expected = b'{"scheme": "https", "secure": true, "address": "127.0.0.1", "url": "%s", "length": 0}'
        assert found == expected % page.encode()
        with running.connect("/ws/client", ssl=trust) as client:
            address = list(client.socket.getsockname())
            url = f"{running.url.replace('https', 'wss')}ws/client"
            expected_text = f'{{"client":["{address[0]}",{address[1]}],"url":"{url}","secure":true}}'
            assert client.recv(timeout=10) == expected_text
            for size in (1, 1000, MIB):
                client.send("x" * size)
                assert client.recv(timeout=10) == "x" * size


def test_requests_with_bodies_on_a_connection_that_is_kept(
    site: OwnSite, certificate: Certificate, trust: ssl.SSLContext
) -> None:
    with start(site, certificate) as running:
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=trust, timeout=10)
        for size in (0, 1, 100_000, 2_000_000):
            connection.request("POST", "/page/", body=b"x" * size)
            assert f'"length": {size}}}'.encode() in connection.getresponse().read()
        connection.close()


def test_without_its_certificate_a_client_does_not_trust_it(site: OwnSite, certificate: Certificate) -> None:
    with start(site, certificate) as running:
        with pytest.raises(ssl.SSLCertVerificationError):
            running.connect("/ws/client", ssl=ssl.create_default_context())
        assert "Traceback" not in running.output()


def test_stopping_says_1012(site: OwnSite, certificate: Certificate, trust: ssl.SSLContext) -> None:
    running = start(site, certificate, "--workers", "2")
    clients = [running.connect("/ws/client", ssl=trust) for _ in range(4)]
    for client in clients:
        client.recv(timeout=10)
    running.send_signal()
    for client in clients:
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert running.wait() == 0
    assert "Traceback" not in running.output()
