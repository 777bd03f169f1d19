"""``MESSAGE_RATE`` and ``BYTE_RATE``: a connection over its rate is closed with 1008, or read more slowly."""

from __future__ import annotations

import threading
import time

import pytest

from tests.attacks.serving import KIB, MIB, Bystander, Server, Servers
from tests.attacks.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, frame


def within_and_over(peer: Peer, data: bytes, allowed: int, answer: int) -> None:
    """Send one second's worth, which is answered, and then so much that the rate is broken at any speed."""
    peer.send(*[data] * allowed)
    for _ in range(allowed):
        assert peer.receive().opcode == answer
    peer.send(*[data] * (3 * allowed))
    found = peer.receive()
    while found.opcode != CLOSE:
        found = peer.receive()
    assert found.close_code == 1008
    peer.expect_end()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (frame(TEXT, b"x"), TEXT),
        (frame(PING), PONG),
        (frame(TEXT, b"x", final=False) + frame(CONTINUATION, b"y"), TEXT),
    ],
    ids=["messages", "pings", "fragmented messages"],
)
def test_too_many_messages(servers: Servers, data: bytes, answer: int) -> None:
    """Control frames count, and a message counts once however many frames it has."""
    with servers.get(MESSAGE_RATE=20).open("/echo") as peer:
        within_and_over(peer, data, 20, answer)


def test_a_flood_of_pongs_counts(servers: Servers) -> None:
    with servers.get(MESSAGE_RATE=20).open("/echo") as peer:
        peer.send(frame(PONG) * 100)
        peer.expect_failure(1008)


def test_too_many_bytes(servers: Servers) -> None:
    with servers.get(BYTE_RATE=100_000).open("/measure") as peer:
        within_and_over(peer, frame(BINARY, bytes(10_000 - 8)), 10, TEXT)


def test_too_many_bytes_of_a_message_that_does_not_end(servers: Servers) -> None:
    with servers.get(BYTE_RATE=100_000).open("/measure") as peer:
        peer.send(frame(BINARY, bytes(60_000), final=False), frame(CONTINUATION, bytes(60_000), final=False))
        peer.expect_failure(1008)


def test_a_client_within_its_rate_stays(servers: Servers) -> None:
    """More than one second's worth in all, and never too much at a time."""
    with servers.get(MESSAGE_RATE=20).open("/echo") as peer:
        for _ in range(4):
            for _ in range(10):
                assert peer.echoes()
            time.sleep(0.5)


def timed(peer: Peer, data: bytes, count: int, answer: int) -> float:
    """Send from a thread, and return the seconds until all answers are there."""
    start = time.monotonic()
    sender = threading.Thread(target=lambda: peer.send(*[data] * count))
    sender.start()
    for _ in range(count):
        assert peer.receive().opcode == answer
    sender.join()
    return time.monotonic() - start


@pytest.mark.parametrize(("data", "answer"), [(frame(TEXT, b"x"), TEXT), (frame(PING), PONG)])
def test_messages_over_the_rate_wait(servers: Servers, data: bytes, answer: int) -> None:
    """100 at once and 100 a second after; nothing is lost, and others do not wait."""
    server = servers.get(MESSAGE_RATE=100, RATE_LIMIT_ACTION="wait")
    with server.open("/echo") as peer:
        start = time.monotonic()
        peer.send(*[data] * 250)
        for _ in range(250):
            assert peer.receive().opcode == answer
            assert time.monotonic() - start < 3, "the wait grows with each message"
        # A read may bring more than the rate allows; then it is the next that waits.
        peer.send(data)
        assert peer.receive().opcode == answer
        assert 1.3 < time.monotonic() - start < 3


def test_bytes_over_the_rate_wait(servers: Servers) -> None:
    server = servers.get(BYTE_RATE=MIB, RATE_LIMIT_ACTION="wait")
    with Bystander(server) as bystander, server.open("/measure") as peer:
        spent = timed(peer, frame(BINARY, bytes(64 * KIB)), 40, TEXT)
    assert 1.3 < spent < 2.5, "2.5 MiB at 1 MiB a second, the first MiB at once"
    assert bystander.slowest < 0.25


def test_a_client_that_floods_while_it_waits_does_not_grow_the_server(servers: Servers) -> None:
    server = servers.get(BYTE_RATE=MIB, RATE_LIMIT_ACTION="wait")
    with server.open("/measure") as peer:
        sent = peer.push(frame(BINARY, bytes(64 * KIB)), 64 * MIB, patience=0.2)
        assert sent < 32 * MIB, "what the rate does not let in stays in the kernel"
        peer.reset()
    server.wait_until({"connections": 1}, within=10)


def test_without_a_rate_nothing_is_limited(server: Server) -> None:
    with server.open("/echo") as peer:
        assert timed(peer, frame(TEXT, b"x"), 20_000, TEXT) < 5
