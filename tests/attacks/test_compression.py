"""permessage-deflate (RFC 7692) in the hands of an attacker."""

from __future__ import annotations

import os
import random
import time
import zlib
from contextlib import ExitStack

import pytest

from tests.attacks.serving import KIB, MIB, Bystander, Server, Servers, watch_growth
from tests.attacks.wire import BINARY, CONTINUATION, PING, TEXT, Peer, frame, handshake, parts

OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
COMPRESSED = 4
"""The reserved bit of a compressed message's first frame."""


def deflate(data: bytes, times: int = 1) -> bytes:
    """Compress a message of repeated data as section 7.2.1 of RFC 7692 has it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [compressor.compress(data) for _ in range(times)]
    return b"".join([*pieces, compressor.flush(zlib.Z_SYNC_FLUSH)])[:-4]


def compressed_frame(data: bytes, opcode: int = BINARY) -> bytes:
    """Return a compressed message in one frame."""
    return frame(opcode, deflate(data), rsv=COMPRESSED)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A billion bytes in 949 KB."""
    return deflate(bytes(1_000_000), 1000)


@pytest.fixture
def inflating(measured: Server) -> Server:
    """The server, after it has inflated a first message."""
    with measured.open("/measure", OFFER) as peer:
        peer.send(compressed_frame(bytes(MIB)))
        assert peer.receive() == (TEXT, str(MIB).encode())
    return measured


def test_a_bomb_is_refused_without_growth(inflating: Server, bomb: bytes) -> None:
    """Inflating stops at MAX_MESSAGE_SIZE, 1 MiB here, which is all that it may cost."""
    assert len(bomb) < 1_000_000
    before = inflating.processor_time()
    with watch_growth(inflating) as growth, inflating.open("/measure", OFFER) as peer:
        peer.send(frame(BINARY, bomb, rsv=COMPRESSED))
        peer.expect_failure(1009)
    assert growth.peak < 1.5 * MIB
    assert inflating.processor_time() - before < 0.2


def test_a_bomb_in_fragments(inflating: Server, bomb: bytes) -> None:
    first, *rest = parts(bomb, 1000)
    with watch_growth(inflating) as growth, inflating.open("/measure", OFFER) as peer:
        peer.send(frame(BINARY, first, rsv=COMPRESSED, final=False))
        peer.send(*(frame(CONTINUATION, piece, final=False) for piece in rest))
        peer.expect_failure(1009)
    assert growth.peak < 1.5 * MIB


def test_many_bombs_at_once(inflating: Server, bomb: bytes) -> None:
    with watch_growth(inflating) as growth, Bystander(inflating) as bystander, ExitStack() as stack:
        peers = [stack.enter_context(inflating.open("/measure", OFFER)) for _ in range(20)]
        for peer in peers:
            peer.send(frame(BINARY, bomb[: 60 * KIB], rsv=COMPRESSED))
        for peer in peers:
            peer.expect_failure(1009)
    assert growth.peak < 4 * MIB
    assert bystander.slowest < 0.25


def test_the_limit_for_inflated_messages_is_that_for_messages(servers: Servers) -> None:
    server = servers.get(MAX_FRAME_SIZE=1000, MAX_MESSAGE_SIZE=1500)
    with server.open("/measure", OFFER) as peer:
        peer.send(compressed_frame(bytes(1500)))
        assert peer.receive_json() == 1500
        peer.send(compressed_frame(bytes(1501)))
        peer.expect_failure(1009)


@pytest.mark.parametrize("path", ["/deaf", "/measure", "/echo"])
def test_a_flood_of_messages_that_inflate_a_thousandfold(inflating: Server, path: str) -> None:
    """Each is within the limit; together, one read of them would inflate to 64 MiB.

    Bound for each client: INBOUND_LIMIT, 1 MiB, the message that the handler has, and the one being read.
    """
    flooding = compressed_frame(bytes(MIB)) * 2000
    clients = 5
    with watch_growth(inflating) as growth, Bystander(inflating) as bystander, ExitStack() as stack:
        for _ in range(clients):
            peer = stack.enter_context(inflating.open(path, OFFER, receive_buffer=4 * KIB))
            peer.push(flooding, len(flooding), patience=0.1)
            stack.callback(peer.reset)
        time.sleep(1)
    assert growth.peak < (3 * clients + 2) * MIB
    assert bystander.slowest < 0.25


def test_messages_that_do_not_end_hold_what_they_inflated(inflating: Server) -> None:
    """A hundred clients stop in the middle: each holds a state of inflating, and little more."""
    with watch_growth(inflating) as growth, ExitStack() as stack:
        for _ in range(100):
            peer = stack.enter_context(inflating.open("/measure", OFFER))
            peer.send(frame(BINARY, deflate(b"x" * 1000), rsv=COMPRESSED, final=False))
        inflating.wait_until({"connections": 101})
    assert growth.peak < 100 * 64 * KIB + MIB


def test_idle_connections_hold_no_compression_state(inflating: Server) -> None:
    """Both sides forget their context after each message by default, so that idle connections stay small."""
    counts = {}
    for offer in (["X-No: offer"], [OFFER]):
        with watch_growth(inflating) as growth, ExitStack() as stack:
            for _ in range(300):
                peer = stack.enter_context(inflating.open("/echo", *offer))
                talk(peer, compresses=offer == [OFFER])
            inflating.wait_until({"connections": 301})
        inflating.wait_until({"connections": 1})
        counts[offer[0]] = growth.peak
    assert counts[OFFER] < 300 * 8 * KIB


def talk(peer: Peer, compresses: bool) -> None:
    """Send a message and read its echo, compressed or not."""
    text = b"x" * 5000
    peer.send(compressed_frame(text, TEXT) if compresses else frame(TEXT, text))
    first, length = peer.take(2)
    assert first == (0xC1 if compresses else 0x81)
    peer.take(length if length < 126 else int.from_bytes(peer.take(2), "big"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"\xff\xff\xff\xff", rsv=COMPRESSED), 1007),
        (frame(BINARY, deflate(b"cut short" * 100)[:5], rsv=COMPRESSED), 1007),
        (frame(BINARY, os.urandom(1000)[:-1] + b"\x07", rsv=COMPRESSED), 1007),
        (compressed_frame(b"\xff", TEXT), 1007),
        (frame(PING, rsv=COMPRESSED), 1002),
        (frame(BINARY, rsv=COMPRESSED, final=False) + frame(CONTINUATION, rsv=COMPRESSED), 1002),
        (frame(BINARY, b"x", rsv=2), 1002),
        (frame(BINARY, deflate(b"x"), rsv=COMPRESSED | 1), 1002),
    ],
    ids=["garbage", "cut", "random", "not-utf-8", "ping", "continuation", "other-bit", "both-bits"],
)
def test_broken_compression_fails_the_connection(server: Server, data: bytes, code: int) -> None:
    with server.open("/echo", OFFER) as peer:
        peer.send(data)
        peer.expect_failure(code)


def test_compression_can_be_switched_off(servers: Servers) -> None:
    server = servers.get(COMPRESSION=False)
    with server.connect() as peer:
        response = peer.request(handshake("/echo", server.host, OFFER))
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.fields
        peer.send(compressed_frame(b"x"))
        peer.expect_failure(1002)


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown=1",
        ", ".join(["permessage-deflate; unknown"] * 300),
    ],
)
def test_offers_that_cannot_be_accepted_are_declined(server: Server, offer: str) -> None:
    with server.connect() as peer:
        response = peer.request(handshake("/echo", server.host, f"Sec-WebSocket-Extensions: {offer}"))
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.fields
        assert peer.echoes()


def test_compressing_large_messages_does_not_hold_up_others(inflating: Server) -> None:
    text = " ".join(str(number * number) for number in range(100_000)).encode()[:MIB]
    with Bystander(inflating) as bystander, ExitStack() as stack:
        peers = [stack.enter_context(inflating.open("/echo", OFFER)) for _ in range(4)]
        for _ in range(5):
            for peer in peers:
                peer.send(frame(TEXT, text))
            for peer in peers:
                peer.take(2)
                peer.take(int.from_bytes(peer.take(8), "big"))
    assert bystander.slowest < 0.15


def test_text_made_to_be_slow_does_not_hold_up_others(servers: Servers) -> None:
    """At level 9 a KiB of it takes 1.5 ms; the echo of each client takes 0.2 seconds of work."""
    server = servers.get(COMPRESSION={"level": 9})
    text = "".join(random.Random(9).choices("ab", k=150 * KIB)).encode()
    with Bystander(server) as bystander, ExitStack() as stack:
        peers = [stack.enter_context(server.open("/echo", OFFER)) for _ in range(4)]
        for peer in peers:
            peer.send(frame(TEXT, text))
        for peer in peers:
            assert peer.take(1) == b"\xc1"
    assert bystander.slowest < 0.15
