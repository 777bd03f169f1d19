"""Messages and frames that are too large, or too many pieces: Close 1009 on the header alone, and no memory."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress

import pytest

from tests.attacks.serving import KIB, MIB, Server, Servers, watch_growth
from tests.attacks.wire import BINARY, CONTINUATION, TEXT, Peer, frame, header

FIN = 0x80
FRAGMENTS = 131_072
"""The default of ``MAX_FRAGMENTS``."""


def test_a_frame_that_declares_2_to_the_62_bytes_is_refused_on_its_header(measured: Server) -> None:
    with watch_growth(measured) as growth, measured.open("/echo") as peer:
        peer.send(header(FIN | BINARY, 2**62))
        peer.expect_failure(1009)
    assert growth.peak < 256 * KIB


def test_what_follows_a_refused_header_is_not_kept(measured: Server) -> None:
    with watch_growth(measured) as growth, measured.open("/echo") as peer:
        peer.send(header(FIN | BINARY, 2**62))
        assert peer.receive().close_code == 1009
        # The server throws away what comes until CLOSE_TIMEOUT, and resets the connection then.
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            peer.push(bytes(MIB), 2**62)
        assert time.monotonic() - start < 2
    assert growth.peak < 256 * KIB


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_the_greatest_size_passes(server: Server, opcode: int) -> None:
    with server.open("/measure") as peer:
        peer.send(frame(opcode, b"x" * MIB))
        assert peer.receive_json() == MIB


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_over_the_limit(measured: Server, opcode: int) -> None:
    with watch_growth(measured) as growth, measured.open("/measure") as peer:
        peer.send(header(FIN | opcode, MIB + 1))
        peer.expect_failure(1009)
    assert growth.peak < 256 * KIB


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_that_add_up_to_more_than_the_limit(measured: Server, opcode: int) -> None:
    half = b"x" * (MIB // 2)
    with watch_growth(measured) as growth, measured.open("/measure") as peer:
        peer.send(frame(opcode, half, final=False), frame(CONTINUATION, half, final=False))
        peer.send(header(CONTINUATION, 1))
        peer.expect_failure(1009)
    assert growth.peak < 3 * MIB, "the message so far, and room for it to grow"


def test_each_size_is_a_setting(servers: Servers) -> None:
    server = servers.get(MAX_FRAME_SIZE=1000, MAX_MESSAGE_SIZE=1500)
    with server.open("/measure") as peer:
        peer.send(frame(BINARY, bytes(1000), final=False), frame(CONTINUATION, bytes(500)))
        assert peer.receive_json() == 1500
        peer.send(frame(BINARY, bytes(1000), final=False), header(FIN | CONTINUATION, 501))
        peer.expect_failure(1009)
    with server.open("/measure") as peer:
        peer.send(header(FIN | BINARY, 1001))
        peer.expect_failure(1009)


def test_a_million_fragments_are_bounded_and_cheap(measured: Server) -> None:
    """The default limit stops the message; what comes before costs little time and no memory."""
    before = measured.processor_time()
    with watch_growth(measured) as growth, measured.open("/measure") as peer:
        send_fragments(peer, 1_000_000)
        peer.expect_failure(1009)
    assert growth.peak < MIB
    assert measured.processor_time() - before < 1.0


def send_fragments(peer: Peer, count: int) -> None:
    """Send so many fragments of one byte, none of them final, as far as the server takes them."""
    fragments = frame(CONTINUATION, b"x", final=False) * 1000
    peer.send(frame(BINARY, b"x", final=False))
    with suppress(ConnectionError):
        for _ in range(count // 1000):
            peer.send(fragments)


def test_as_many_fragments_as_allowed_make_a_message_and_one_more_does_not(server: Server) -> None:
    fragments = frame(CONTINUATION, b"x", final=False)
    with server.open("/measure") as peer:
        peer.send(frame(BINARY, b"x", final=False), fragments * (FRAGMENTS - 2), frame(CONTINUATION, b"x"))
        assert peer.receive_json() == FRAGMENTS
        peer.send(frame(BINARY, b"x", final=False), fragments * (FRAGMENTS - 1))
        peer.send(header(CONTINUATION, 1))
        peer.expect_failure(1009)


def test_empty_fragments_count(servers: Servers) -> None:
    with servers.get(MAX_FRAGMENTS=3).open("/measure") as peer:
        empty = frame(CONTINUATION, final=False)
        peer.send(frame(TEXT, final=False), empty, frame(CONTINUATION))
        assert peer.receive_json() == 0
        peer.send(frame(TEXT, final=False), empty, empty, empty)
        peer.expect_failure(1009)


def test_many_fragments_take_linear_time(servers: Servers) -> None:
    """Four times the fragments take about four times the time, and a million little memory besides the message."""
    server = servers.get(MAX_FRAGMENTS=2_000_000)
    spent = {}
    with server.open("/measure") as peer:
        for count in (250_000, 1_000_000):
            data = frame(CONTINUATION, b"x", final=False) * (count - 2)
            before = server.processor_time()
            peer.send(frame(BINARY, b"x", final=False), data, frame(CONTINUATION, b"x"))
            assert peer.receive_json() == count
            spent[count] = server.processor_time() - before
    assert spent[1_000_000] < 1.0
    assert spent[1_000_000] < 8 * spent[250_000] + 0.1


def test_a_legitimate_message_in_small_fragments_passes(servers: Servers) -> None:
    """4 MiB in fragments of 64 bytes, as in Autobahn's cases 9.3 and 9.4."""
    server = servers.get(MAX_MESSAGE_SIZE=4 * MIB)
    count = 4 * MIB // 64
    piece = frame(CONTINUATION, bytes(64), final=False)
    with server.open("/measure") as peer:
        peer.send(frame(BINARY, bytes(64), final=False), piece * (count - 2), frame(CONTINUATION, bytes(64)))
        assert peer.receive_json() == 4 * MIB


def test_a_message_that_never_ends_is_held_by_the_limit_only(measured: Server) -> None:
    """A hundred clients stop in the middle of a message: each costs what it has sent."""
    with watch_growth(measured) as growth, ExitStack() as peers:
        for _ in range(100):
            peer = peers.enter_context(measured.open("/measure"))
            peer.send(header(FIN | BINARY, MIB) + bytes(100))
        measured.wait_until({"connections": 101})
    assert growth.peak < 4 * MIB, "a header alone allocates nothing for its payload"
