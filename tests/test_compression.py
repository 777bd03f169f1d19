"""Wishes for permessage-deflate, and what comes of each on the wire."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, fields
from typing import Any, NamedTuple

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, WebSocket
from django_bolt.compression import Compression, make_compression
from django_bolt.conf import bolt_settings, find_problems
from django_bolt.testing import TestClient
from tests.attacks.wire import BINARY, TEXT, Peer, frame, handshake

NUMBERS = {
    "server_max_window_bits": (8, 15),
    "client_max_window_bits": (8, 15),
    "level": (1, 9),
    "memory_level": (1, 9),
    "min_size": (0, 2**30),
}
FLAGS = ["server_no_context_takeover", "client_no_context_takeover"]
KIB = 1024
FINAL, COMPRESSED = 0x80, 0x40
"""Bits of a frame's first byte."""
SMALLEST, WHOLE, LARGE = KIB, 64 * KIB, 1_000_000
"""Payloads that are compressed by default: from the first on, in one go to the second, in slices beyond it."""


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_defaults_hold_no_memory_for_an_idle_connection() -> None:
    assert make_compression(True) == Compression(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=15,
        client_max_window_bits=15,
        level=1,
        memory_level=8,
        min_size=1024,
    )


def test_false_is_none() -> None:
    assert make_compression(False) is None


def test_a_mapping_changes_what_it_names() -> None:
    made = make_compression({"level": 9, "server_no_context_takeover": False})
    assert made == Compression(level=9, server_no_context_takeover=False)
    assert make_compression({}) == Compression()


def test_what_is_made_already_stays() -> None:
    made = Compression(level=3)
    assert make_compression(made) is made
    with pytest.raises(FrozenInstanceError):
        made.level = 4  # type: ignore[misc]


@pytest.mark.parametrize("value", [None, 1, 0, "yes", [], [("level", 1)], object])
def test_what_is_no_wish(value: Any) -> None:
    with pytest.raises(ValueError, match="is not True, False, or a dict of options"):
        make_compression(value)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_a_range(name: str) -> None:
    least, most = NUMBERS[name]
    for value in (least, most):
        assert getattr(make_compression({name: value}), name) == value
    for wrong in (least - 1, most + 1, True, None, str(least), float(least)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from {least} to {most}, not "):
            make_compression({name: wrong})


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_true_or_false(name: str) -> None:
    for value in (True, False):
        assert getattr(make_compression({name: value}), name) is value
    for wrong in (0, 1, None, "true"):
        with pytest.raises(ValueError, match=f"{name} must be True or False, not "):
            make_compression({name: wrong})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("levle", "did you mean 'level'?"),
        ("server_window_bits", "did you mean 'server_max_window_bits'?"),
        ("threshold", "the options are: server_no_context_takeover, "),
        (5, "the options are: "),
    ],
)
def test_an_unknown_option_names_the_nearest(name: Any, hint: str) -> None:
    with pytest.raises(ValueError, match="unknown option") as caught:
        make_compression({name: 1})
    assert hint in str(caught.value)


def test_options_are_described_and_defaults_are_within_their_ranges() -> None:
    assert {entry.name for entry in fields(Compression)} == {*NUMBERS, *FLAGS}
    assert all(entry.metadata["description"].endswith(".") for entry in fields(Compression))
    assert make_compression({entry.name: entry.default for entry in fields(Compression)}) == Compression()


# ── in settings and at endpoints ─────────────────────────────────────────────────────────────────────────


def test_the_setting() -> None:
    assert bolt_settings().compression == Compression()
    for value, expected in [(False, None), (True, Compression()), ({"level": 6}, Compression(level=6))]:
        with override_settings(BOLT={"COMPRESSION": value}):
            assert bolt_settings().compression == expected


@pytest.mark.parametrize("value", [None, 1, "on", {"level": 0}, {"levle": 1}])
def test_a_setting_that_cannot_be(value: Any) -> None:
    [problem] = find_problems({"COMPRESSION": value})
    assert problem.key == "COMPRESSION"
    assert repr(value) in problem.message
    assert "True, False, or a dict of options: server_no_context_takeover, " in problem.hint


@pytest.mark.parametrize("value", [{"level": 0}, {"levle": 1}, 5])
def test_an_endpoint_with_a_wish_that_cannot_be(value: Any) -> None:
    with pytest.raises(ValueError, match=r"level|is not True"):
        BoltAPI().websocket("/ws/echo", compression=value)


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────────────


class Reply(NamedTuple):
    """A message of the server.

    Attributes:
        is_compressed: Whether the bit of RFC 7692 section 6 is set.
        payload: As it came.
    """

    is_compressed: bool
    payload: bytes


class Offering:
    """A client that offers what it likes, and sends plain messages.

    Args:
        client: Where to connect.
        offer: Value of ``Sec-WebSocket-Extensions``; None leaves it out.
    """

    def __init__(self, client: TestClient, offer: str | None) -> None:
        self._peer = Peer(client._connect(), "testserver")
        lines = [f"Sec-WebSocket-Extensions: {offer}"] if offer is not None else []
        response = self._peer.request(handshake("/ws/echo", "testserver", *lines))
        assert response.status == 101, response
        self.agreed = response.fields.get("sec-websocket-extensions")

    def ask(self, data: bytes, opcode: int = TEXT) -> Reply:
        """Send a message and return its echo."""
        self._peer.send(frame(opcode, data))
        first, length = self._peer.take(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._peer.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._peer.take(8))
        assert first & ~COMPRESSED == FINAL | opcode, hex(first)
        return Reply(bool(first & COMPRESSED), self._peer.take(length))

    def end(self) -> None:
        """Leave."""
        self._peer.socket.close()


@contextmanager
def offering(wish: Any = None, offer: str | None = "permessage-deflate") -> Iterator[Offering]:
    """Connect to an echo with a wish."""
    with TestClient(echo_with(wish)) as client:
        made = Offering(client, offer)
        try:
            yield made
        finally:
            made.end()


def echo_with(wish: Any) -> BoltAPI:
    api = BoltAPI()

    @api.websocket("/ws/echo", compression=wish)
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            await websocket.send(message)

    return api


def inflate(data: bytes, window_bits: int = 15) -> bytes:
    """Decompress a message by itself (RFC 7692 section 7.2.2)."""
    return zlib.decompressobj(-window_bits).decompress(data + b"\x00\x00\xff\xff")


NO_CONTEXTS = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("setting", "wish", "agreed"),
    [
        (True, None, NO_CONTEXTS),
        (False, None, None),
        (True, False, None),
        (False, True, NO_CONTEXTS),
        (False, {"level": 9}, NO_CONTEXTS),
        ({"client_no_context_takeover": False}, None, "permessage-deflate; server_no_context_takeover"),
        ({"client_no_context_takeover": False}, True, NO_CONTEXTS),
        (True, {"server_no_context_takeover": False}, "permessage-deflate; client_no_context_takeover"),
        (True, dict.fromkeys(FLAGS, False), "permessage-deflate"),
    ],
)
def test_an_endpoint_has_its_own_wish_or_that_of_the_settings(
    setting: Any, wish: Any, agreed: str | None
) -> None:
    with override_settings(BOLT={"COMPRESSION": setting}), offering(wish) as client:
        assert client.agreed == agreed
        assert client.ask(b"x" * SMALLEST).is_compressed is (agreed is not None)


@pytest.mark.parametrize(
    "offer", [None, "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=7"]
)
def test_a_client_that_does_not_offer_it_is_served_without(offer: str | None) -> None:
    with offering(True, offer) as client:
        assert client.agreed is None
        assert client.ask(b"x" * 5000) == (False, b"x" * 5000)


def test_windows() -> None:
    wish = {"server_max_window_bits": 10, "client_max_window_bits": 11}
    with offering(wish, "permessage-deflate; client_max_window_bits; server_max_window_bits=12") as client:
        assert client.agreed == f"{NO_CONTEXTS}; server_max_window_bits=10; client_max_window_bits=11"
        message = bytes(random.Random(1).choices(b"abcdefgh", k=20_000))
        reply = client.ask(message)
        assert reply.is_compressed
        assert inflate(reply.payload, window_bits=10) == message


@pytest.mark.parametrize(
    ("wish", "size", "is_compressed"),
    [
        (True, SMALLEST - 1, False),
        (True, SMALLEST, True),
        (True, WHOLE, True),
        (True, WHOLE + 1, True),
        (True, LARGE, True),
        ({"min_size": 100}, 99, False),
        ({"min_size": 100}, 100, True),
        ({"min_size": 10_000}, 9_999, False),
        ({"min_size": LARGE}, LARGE, True),
        ({"min_size": LARGE + 1}, LARGE, False),
    ],
)
def test_sizes(wish: Any, size: int, is_compressed: bool) -> None:
    with offering(wish) as client:
        reply = client.ask(b"x" * size)
    assert reply.is_compressed is is_compressed
    assert (inflate(reply.payload) if is_compressed else reply.payload) == b"x" * size
    assert not is_compressed or len(reply.payload) < size / 10


@pytest.mark.parametrize("size", [SMALLEST, 50_000, LARGE])
def test_what_does_not_get_smaller_is_sent_plain(size: int) -> None:
    noise = random.Random(2).randbytes(size)
    with offering(True) as client:
        assert client.ask(noise, BINARY) == (False, noise)


def test_each_message_stands_by_itself_without_context_takeover() -> None:
    message = bytes(random.Random(4).choices(b"0123456789abcdef", k=4000))
    with offering(True) as client:
        replies = [client.ask(message) for _ in range(3)]
    assert [inflate(reply.payload) for reply in replies] == [message] * 3
    assert len({reply.payload for reply in replies}) == 1


def test_with_context_takeover_a_message_refers_to_those_before_it() -> None:
    message = bytes(random.Random(4).choices(b"0123456789abcdef", k=4000))
    with offering({"server_no_context_takeover": False}) as client:
        replies = [client.ask(message) for _ in range(3)]
    assert len(replies[0].payload) > 1500
    assert len(replies[1].payload) < 200
    inflater = zlib.decompressobj(-15)
    for reply in replies:
        assert reply.is_compressed
        assert inflater.decompress(reply.payload + b"\x00\x00\xff\xff") == message


def test_a_client_may_forbid_context_takeover() -> None:
    with offering(dict.fromkeys(FLAGS, False), f"{NO_CONTEXTS}; client_max_window_bits") as client:
        message = bytes(random.Random(4).choices(b"0123456789abcdef", k=4000))
        assert [inflate(client.ask(message).payload) for _ in range(2)] == [message] * 2


@pytest.mark.parametrize("level", [1, 6, 9])
def test_levels(level: int) -> None:
    """The highest may take no more bytes than the lowest."""
    words = [b"topic ", b"message ", b"client ", b"server ", b"frame ", b"socket "]
    message = b"".join(random.Random(5).choices(words, k=3000))
    sizes = {}
    for asked in (1, level):
        with offering({"level": asked}) as client:
            reply = client.ask(message)
        assert inflate(reply.payload) == message
        sizes[asked] = len(reply.payload)
    assert sizes[level] <= sizes[1] < len(message) / 3


def test_the_test_client_speaks_it_both_ways() -> None:
    text = "some text, again and again; " * 1000
    with TestClient(echo_with(None)) as client:
        with client.websocket_connect("/ws/echo", compression=True) as ws:
            assert ws.response_headers["sec-websocket-extensions"] == NO_CONTEXTS
            for message in (text, "short", "", "ü" * SMALLEST):
                ws.send_text(message)
                assert ws.receive_text() == message
            ws.send_bytes(bytes(300_000))
            assert ws.receive_bytes() == bytes(300_000)
        with client.websocket_connect("/ws/echo") as ws:
            assert "sec-websocket-extensions" not in ws.response_headers


def test_a_compressed_message_is_limited_by_what_it_becomes() -> None:
    with (
        override_settings(BOLT={"MAX_MESSAGE_SIZE": 10_000}),
        TestClient(echo_with(True)) as client,
        client.websocket_connect("/ws/echo", compression=True) as ws,
    ):
        ws.send_bytes(bytes(10_000))
        assert ws.receive_bytes() == bytes(10_000)
        ws.send_bytes(bytes(10_001))
        assert ws.wait_closed() == 1009
