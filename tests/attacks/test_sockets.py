"""The same defences over TLS, on a Unix socket and with IPv6."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.attacks.serving import KIB, MEASURES_MEMORY, MIB, Bystander, Server, Servers, watch_growth
from tests.attacks.wire import (
    AT_ONCE,
    BINARY,
    PING,
    TEXT,
    close_frame,
    frame,
    handshake,
    header,
    request,
)

needs_memory = pytest.mark.skipif(not MEASURES_MEMORY, reason="needs /proc/PID/smaps_rollup")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
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
    subprocess.run(
        [*command, "-subj", "/CN=localhost", "-keyout", key, "-out", chain], check=True, capture_output=True
    )
    return chain, key


@pytest.fixture(scope="session")
def short_path() -> Iterator[Path]:
    """A path that fits into the address of a Unix socket, whatever the folder for tests is."""
    with TemporaryDirectory(prefix="bolt") as folder:
        yield Path(folder) / "socket"


@pytest.fixture(params=["tls", "unix", "ipv6"])
def reached(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """A server that is reached in another way than by TCP over IPv4."""
    if request.param == "tls":
        return serve_tls(servers, request.getfixturevalue("certificate"))
    if request.param == "unix":
        return servers.get("--uds", str(request.getfixturevalue("short_path")))
    if not has_ipv6():
        pytest.skip("needs IPv6")
    return servers.get("[::1]:0")


@pytest.fixture
def encrypted(servers: Servers, certificate: tuple[Path, Path]) -> Server:
    """A server with TLS."""
    return serve_tls(servers, certificate)


def serve_tls(servers: Servers, certificate: tuple[Path, Path], **bolt: Any) -> Server:
    """Return the server with a certificate."""
    chain, key = certificate
    return servers.get("127.0.0.1:0", "--ssl-certfile", str(chain), "--ssl-keyfile", str(key), **bolt)


def has_ipv6() -> bool:
    """Whether there is a loopback interface for IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


# ── in each way ──────────────────────────────────────────────────────────────────────────────────────────


def test_messages_and_pages(reached: Server) -> None:
    with reached.open("/echo") as peer:
        assert peer.echoes()
        assert peer.echoes(b"x" * MIB)
        peer.send(close_frame(1000))
        assert peer.receive().close_code == 1000
        peer.expect_end()
    with reached.connect() as peer:
        response = peer.request(request("GET / HTTP/1.1", f"Host: {reached.host}"))
        assert response.status == 200


def test_endpoints_see_how_they_are_reached(reached: Server) -> None:
    with reached.open("/client") as peer:
        found = peer.receive_json()
    if "unix" in reached.url:
        assert found == {"client": None, "url": "ws://localhost/client"}
    else:
        assert found["client"][0] in ("127.0.0.1", "::1")
        assert found["url"] == reached.url.replace("http", "ws", 1) + "/client"


def test_failures_end_at_once(reached: Server) -> None:
    for data, code in [
        (header(0x82, 2**62), 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", masked=False), 1002),
    ]:
        with reached.open("/echo") as peer:
            peer.send(data)
            peer.expect_failure(code)


def test_refusals_end_at_once(reached: Server) -> None:
    for data, status in [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /" + b"x" * 17 * KIB, 431),
        (handshake("/nowhere", reached.host), 404),
        (handshake("/echo", reached.host, "Origin: https://elsewhere.example"), 403),
    ]:
        with reached.connect() as peer:
            assert peer.request(data).status == status
            peer.read_until_end(AT_ONCE)


def test_slow_heads_have_a_deadline(reached: Server) -> None:
    with reached.connect() as peer:
        peer.send(b"GET /echo HTTP/1.1\r\n")
        assert peer.receive_response().status == 408


@needs_memory
@pytest.mark.parametrize("flooding", [frame(PING, bytes(125)), frame(BINARY, bytes(60 * KIB))])
def test_a_client_that_floods_and_does_not_read(reached: Server, flooding: bytes) -> None:
    with reached.open("/echo") as peer:
        assert peer.echoes(b"x" * 60 * KIB)
    many = flooding * (MIB // len(flooding) + 1)
    with (
        Bystander(reached) as bystander,
        watch_growth(reached) as growth,
        reached.open("/echo", receive_buffer=4 * KIB) as peer,
        suppress(TimeoutError),
    ):
        peer.socket.settimeout(1)
        for _ in range(64):
            peer.send(many)
        pytest.fail("the server read on, though nobody reads its answers")
    # With TLS, what asyncio has in its hands on either side of the reactor is some 650 KiB.
    assert growth.peak < MIB
    assert bystander.slowest < 0.5


@needs_memory
def test_one_that_never_reads_a_broadcast(reached: Server) -> None:
    message = frame(TEXT, b"x" * 65_536)
    reached.wait_until({"subscribers": 0})
    with ExitStack() as stack, watch_growth(reached) as growth:
        stack.enter_context(reached.open("/ws/broadcast", receive_buffer=4 * KIB))
        speaker = stack.enter_context(reached.open("/ws/broadcast"))
        reached.wait_until({"subscribers": 2})
        for _ in range(400):
            speaker.send(message)
            assert speaker.receive().opcode == TEXT
        reached.wait_until({"subscribers": 1})
    assert growth.peak < 8 * MIB


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tls_handshake_has_a_deadline(encrypted: Server) -> None:
    """Silence, a beginning that never ends, and plain HTTP; HANDSHAKE_TIMEOUT is 1 second here."""
    host, _, port = encrypted.host.rpartition(":")
    before = encrypted.descriptors()
    for beginning in (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection((host, int(port))) as connection, suppress(ConnectionError):
            connection.sendall(beginning)
            connection.settimeout(3)
            while connection.recv(KIB):
                pass
    assert encrypted.descriptors() == before


def test_many_silent_tls_connections_are_gone_by_the_deadline(encrypted: Server) -> None:
    host, _, port = encrypted.host.rpartition(":")
    with ExitStack() as stack, Bystander(encrypted) as bystander:
        silent = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(100)]
        for connection in silent:
            connection.settimeout(3)
            with suppress(ConnectionError):
                assert not connection.recv(KIB)
    assert bystander.slowest < 0.5


def test_tls_clients_that_vanish_leave_nothing_behind(
    servers: Servers, certificate: tuple[Path, Path]
) -> None:
    """They end TCP by a reset, without TLS's farewell; one leaves behind what the server did not read yet."""
    server = serve_tls(servers, certificate, PING_INTERVAL=0.5, PING_TIMEOUT=0.5)
    server.wait_until({"connections": 1})
    before = server.descriptors()
    for path in ("/echo", "/deaf", "/produce"):
        for _ in range(5):
            server.open(path).reset()
    with server.open("/echo") as peer:
        peer.socket.settimeout(0.2)
        with suppress(TimeoutError):
            peer.send(frame(TEXT, b"x" * 60 * KIB) * 1000)
        peer.reset()
    server.wait_until({"connections": 1}, within=3)
    until = time.monotonic() + 3
    while server.descriptors() > before:
        assert time.monotonic() < until
        time.sleep(0.05)


# ── Unix sockets ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trusted", [False, True])
def test_a_proxy_on_a_unix_socket_is_believed_where_it_is_trusted(
    servers: Servers, short_path: Path, trusted: bool
) -> None:
    path = short_path.with_name(f"trusted-{trusted}")
    bolt = {"TRUSTED_PROXIES": ["unix"]} if trusted else {}
    with (
        servers.make("--uds", str(path), **bolt) as server,
        server.open("/client", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https") as peer,
    ):
        found = peer.receive_json()
    assert found["client"] == (["192.0.2.1", 0] if trusted else None)
    assert found["url"].startswith("wss:" if trusted else "ws:")
    assert not path.exists(), "the socket is removed at the end"
