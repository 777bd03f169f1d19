from __future__ import annotations

from typing import Any

import pytest

from django_bolt.endpoints.headers import check_headers, join_headers, join_values


def test_a_mapping_and_pairs_are_taken() -> None:
    assert check_headers({"X-A": "1", "X-B": "2"}) == [("X-A", "1"), ("X-B", "2")]
    assert check_headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]) == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]
    assert check_headers(None) == []


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "UPGRADE",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Accept",
        "sec-websocket-protocol",
    ],
)
def test_fields_of_the_handshake_itself_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="by the handshake itself"):
        check_headers({name: "x"})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\n", "é"])
def test_a_name_must_be_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        check_headers({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "a\r", "a\0"])
def test_a_value_cannot_end_its_field(value: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        check_headers({"X-A": value})


def test_a_value_must_be_latin_1() -> None:
    assert check_headers({"X-A": "é"}) == [("X-A", "é")]
    with pytest.raises(ValueError, match="Latin-1"):
        check_headers({"X-A": "€"})


@pytest.mark.parametrize("pair", [("X-A", 1), (b"X-A", "1"), ("X-A", None)])
def test_names_and_values_are_text(pair: Any) -> None:
    with pytest.raises(TypeError, match="must be text"):
        check_headers([pair])


def test_repeated_fields_are_joined() -> None:
    raw = [("accept", "a"), ("cookie", "a=1"), ("accept", "b"), ("cookie", "b=2"), ("host", "h")]
    assert join_headers(raw) == {"accept": "a, b", "cookie": "a=1; b=2", "host": "h"}
    assert join_values(["a", "b"]) == "a, b"
    assert join_values([""]) == ""
    assert join_values([]) is None
