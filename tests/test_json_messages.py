from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from django.utils.translation import gettext_lazy

from django_bolt import InvalidMessage
from django_bolt.json_messages import decoder_for, encode_json


class Move(msgspec.Struct):
    x: int
    path: list[int] = []


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        ({"type": "message", "data": "Hello"}, b'{"type":"message","data":"Hello"}'),
        ("é", '"é"'.encode()),
        (None, b"null"),
        (Move(1), b'{"x":1,"path":[]}'),
        (Point(1), b'{"x":1}'),
        (Colour.RED, b'"red"'),
        (Decimal("1.50"), b'"1.50"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (datetime(2024, 1, 1, tzinfo=UTC), b'"2024-01-01T00:00:00Z"'),
        ({"label": gettext_lazy("Yes")}, b'{"label":"Yes"}'),
    ],
)
def test_what_can_be_sent(data: Any, encoded: bytes) -> None:
    assert encode_json(data) == encoded


def test_what_has_no_json_form_is_named() -> None:
    with pytest.raises(TypeError, match="object cannot be sent as JSON"):
        encode_json({"a": object()})


def test_a_message_of_either_kind_is_decoded() -> None:
    decode = decoder_for(Any)
    assert decode('{"a": 1}') == decode(b'{"a": 1}') == {"a": 1}


def test_a_type_is_decoded_into() -> None:
    assert decoder_for(Move)('{"x": 1}') == Move(1)
    assert decoder_for(Point)('{"x": 1}') == Point(1)


@pytest.mark.parametrize(
    "message", ["", "{", "nul", '{"a": 1} 2', b"\xff", b'"\xff"', "NaN", "[" * 100_000, '"\ud800"']
)
def test_what_is_no_json_is_invalid(message: str | bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(Any)(message)
    assert caught.value.path == "$"
    assert caught.value.reason


def test_what_does_not_fit_the_type_is_invalid_and_says_where() -> None:
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(Move)('{"x": 1, "path": [1, "two"]}')
    assert (caught.value.path, caught.value.reason) == ("$.path[1]", "Expected `int`, got `str`")
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(Move)("[]")
    assert (caught.value.path, caught.value.reason) == ("$", "Expected `object`, got `array`")


def test_a_decoder_is_made_once_for_each_type() -> None:
    assert decoder_for(Move) is decoder_for(Move)


def test_a_type_that_is_not_hashable_is_taken_too() -> None:
    unhashable = Annotated[int, msgspec.Meta(extra_json_schema={"examples": [1]})]
    assert decoder_for(unhashable)("1") == 1


def test_a_type_that_cannot_be_decoded_into_is_refused() -> None:
    with pytest.raises(TypeError, match="not supported"):
        decoder_for("nonsense")
