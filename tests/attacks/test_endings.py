"""How connections end that nobody closes, and what is delivered before."""

from __future__ import annotations

import sys
import time

import pytest

from tests.attacks.serving import KIB, MIB, Server, Servers
from tests.attacks.wire import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame, request


def test_a_burst_of_small_messages_is_delivered_whole(server: Server) -> None:
    burst = [frame(TEXT, str(number).encode()) for number in range(1000)]
    with server.open("/echo") as peer:
        peer.send(*burst)
        for number in range(1000):
            assert peer.receive() == (TEXT, str(number).encode())
        assert peer.echoes()


def test_a_burst_from_each_of_many(server: Server) -> None:
    burst = b"".join(frame(TEXT, str(number).encode()) for number in range(1000))
    peers = [server.open("/echo") for _ in range(20)]
    for peer in peers:
        peer.send(burst)
    for peer in peers:
        with peer:
            assert [peer.receive().payload for _ in range(1000)] == [b"%d" % number for number in range(1000)]


def test_a_burst_and_a_close_frame(server: Server) -> None:
    """What came before the Close frame is delivered; it may not be answered any more (RFC 6455 section 5.5.1)."""
    with server.open("/echo") as peer:
        peer.send(*[frame(TEXT, b"x")] * 1000, close_frame(1000))
        answers = 0
        while peer.receive().opcode == TEXT:
            answers += 1
        peer.expect_end()
    assert answers == 1000


def test_a_handler_that_raises_ends_the_connection_at_once(server: Server) -> None:
    with server.open("/raise") as peer:
        peer.send(frame(TEXT, b"go"))
        found = peer.receive()
        assert found.close_code == 1011
        assert b"secret" not in found.payload
        peer.expect_end(0.5)
    assert server.output().count("LookupError: a secret") == 1


@pytest.fixture
def pinging(servers: Servers) -> Server:
    """A server that pings soon and does not wait long."""
    return servers.get(PING_INTERVAL=0.3, PING_TIMEOUT=0.3)


def test_a_dead_peer_is_noticed(pinging: Server) -> None:
    """PING_INTERVAL after the last byte a ping, PING_TIMEOUT after that 1011 and TCP's end."""
    with pinging.open("/echo") as peer:
        start = time.monotonic()
        assert peer.receive() == (PING, b"")
        assert 0.25 < time.monotonic() - start < 0.6
        start = time.monotonic()
        peer.expect_failure(1011)
        assert time.monotonic() - start < 1.3
    pinging.wait_until({"connections": 1, "tasks": 2})


@pytest.mark.parametrize("path", ["/echo", "/deaf"])
def test_a_peer_that_answers_pings_stays(pinging: Server, path: str) -> None:
    """In a handler that does not receive, too."""
    with pinging.open(path) as peer:
        for _ in range(5):
            assert peer.receive() == (PING, b"")
            peer.send(frame(PONG))


def test_a_peer_that_sends_needs_no_ping(pinging: Server) -> None:
    with pinging.open("/echo") as peer:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert peer.echoes(b"I am here")
            time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a socket drop what comes")
def test_a_dead_peer_behind_messages_that_nobody_takes_is_noticed(servers: Servers) -> None:
    """While reading is paused, pings do not tell, since the pong may be there; the kernel's probes do."""
    server = servers.get(PING_INTERVAL=1, PING_TIMEOUT=1)
    with server.open("/deaf") as alive, server.open("/deaf") as dead:
        for peer in (alive, dead):
            peer.push(frame(BINARY, bytes(60 * KIB)), 64 * MIB, patience=0.3)
        dead.die()
        server.wait_until({"connections": 2}, within=10)
        assert alive.receive() == (PING, b"")
    server.wait_until({"connections": 1}, within=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what is not taken")
def test_a_download_that_is_not_taken_ends(servers: Servers) -> None:
    server = servers.get(PING_INTERVAL=1, PING_TIMEOUT=1)
    server.wait_until({"tasks": 2})
    with server.connect(receive_buffer=4 * KIB) as peer:
        assert peer.request(request("GET /download HTTP/1.1", f"Host: {server.host}")).status == 200
        assert server.probe()["tasks"] > 2
        server.wait_until({"tasks": 2}, within=10)


def test_a_peer_that_dies_in_the_middle_of_a_message_is_noticed(pinging: Server) -> None:
    with pinging.open("/echo") as peer:
        peer.send(frame(TEXT, b"half a message")[:-3])
        assert peer.receive().opcode == PING
        peer.expect_failure(1011)


def test_a_peer_that_resets_is_forgotten(server: Server) -> None:
    server.wait_until({"connections": 1, "tasks": 2})
    for path in ("/echo", "/deaf", "/produce"):
        server.open(path).reset()
    server.wait_until({"connections": 1, "tasks": 2}, within=3)


def test_a_peer_that_leaves_during_the_handshake_is_forgotten(server: Server) -> None:
    before = server.descriptors()
    for _ in range(50):
        peer = server.connect()
        peer.send(b"GET /echo HTTP/1.1\r\nHost: ")
        peer.reset()
    with server.open("/echo") as peer:
        assert peer.echoes()
    deadline = time.monotonic() + 0.5
    while server.descriptors() > before:
        assert time.monotonic() < deadline, "without waiting for the deadline of the handshake"
        time.sleep(0.02)


def test_a_peer_that_does_not_answer_a_close_frame_is_ended(servers: Servers) -> None:
    """After CLOSE_TIMEOUT; the handler has long returned."""
    server = servers.make(DRAIN_TIMEOUT=0.1)
    with server, server.open("/deaf") as peer:
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 4
        found = peer.receive()
        assert found.opcode == CLOSE
        assert found.close_code == 1012
