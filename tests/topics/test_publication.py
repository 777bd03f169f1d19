from __future__ import annotations

import msgspec
import pytest

from django_bolt.exceptions import EnvironmentFailure, InvalidPublication
from django_bolt.topics.names import MAX_TOPIC_LENGTH
from django_bolt.topics.publication import VERSION, WIRE_OVERHEAD, Publication, decode, encode

FULL = Publication("room:1", "zażółć".encode(), True, "0123456789abcdef", 2**63, "epoch", 7)


def packed(*fields: object) -> bytes:
    """Return fields as they are on the wire."""
    return VERSION + msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    "publication", [FULL, Publication("t", b"", False), Publication("t", b"\xff", False)]
)
def test_what_is_encoded_is_decoded(publication: Publication) -> None:
    raw = encode(publication)
    for form in (raw, bytearray(raw), memoryview(raw)):
        assert decode(form) == publication


def test_the_overhead_is_bounded() -> None:
    largest = Publication("🙂" * MAX_TOPIC_LENGTH, b"x" * 70_000, True, "f" * 16, 2**64 - 1, "e" * 100, 2**63)
    assert len(encode(largest)) <= 70_000 + WIRE_OVERHEAD


def test_fields_of_later_versions_are_ignored() -> None:
    assert decode(packed("t", b"x", False, "", None, None, None, "new")) == Publication("t", b"x", False)


def test_fields_at_the_end_may_be_missing() -> None:
    assert decode(packed("t", b"x", False)) == Publication("t", b"x", False)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "version missing"),
        (b"\x02" + encode(FULL)[1:], "version 02, not 01"),
        (VERSION, "truncated"),
        (encode(FULL)[:-1], "truncated"),
        (VERSION + b"\xc1", "invalid opcode"),
        (VERSION + msgspec.msgpack.encode({"topic": "t"}), "Expected `array`"),
        (packed("t", "text", False), "Expected `bytes`"),
        (packed("t", b"x"), "length"),
        (packed(b"t", b"x", False), "Expected `str`"),
        (packed("t", b"\xff", True), "not UTF-8"),
        (VERSION + b"\x93\xa1\xff\xc4\x00\xc2", "utf-8|UTF-8"),
        (b"*3\r\n$7\r\nmessage\r\n", "version 2a"),
    ],
)
def test_what_is_none_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidPublication, match=reason) as raised:
        decode(raw)
    assert isinstance(raised.value, EnvironmentFailure)


def test_what_is_nested_too_deeply_is_no_publication() -> None:
    raw = bytearray(packed("t", b"x", False, "", None, None, None, None))
    raw[-1:] = b"\x91" * 100_000 + b"\xc0"
    with pytest.raises(InvalidPublication):
        decode(raw)
