from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from django.contrib.auth.models import User as Account
from pydantic import BaseModel

from django_bolt import InvalidMessage
from django_bolt.json_messages import decoder_for


class Move(msgspec.Struct):
    x: int
    path: list[int] = []


@dataclass
class Point:
    x: int


class User(BaseModel):
    name: str


def test_pydantic_is_not_imported_for_types_that_are_not_its_own() -> None:
    program = (
        "import sys, dataclasses\n"
        "from typing import TypedDict\n"
        "from django_bolt.json_messages import decoder_for, encode_json\n"
        "@dataclasses.dataclass\n"
        "class Point:\n    x: int\n"
        "decoder_for(list[Point])('[{\"x\": 1}]'), decoder_for(TypedDict('T', {'x': int})), encode_json(Point(1))\n"
        "print('pydantic' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.strip() == "False"


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


class Plain:
    """A class that no JSON becomes."""


class Holding(msgspec.Struct):
    held: list[Plain | None]


class Undefined(msgspec.Struct):
    name: NotYetThere  # type: ignore[name-defined]  # noqa: F821


class UndefinedModel(BaseModel):
    name: NotYetThere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("nonsense", "into 'nonsense': .* not supported"),
        (Plain, "into Plain: Plain is neither"),
        (Holding, "into Holding: Plain is neither"),
        (list[Plain], r"into list\[.*Plain\]: Plain is neither"),
        (complex, "into complex: complex is neither"),
        (Iterable[int], "Iterable is neither"),
        (Undefined, "into Undefined: name 'NotYetThere' is not defined"),
        (Move | Point, "may not contain more than one dict-like"),
        (UndefinedModel, "into UndefinedModel: .*NotYetThere"),
        (User | Move, "Unable to generate pydantic-core schema for .*Move"),
        (Account, "into User: User is neither"),
    ],
)
def test_a_type_that_cannot_be_decoded_into_is_refused(type_: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"Messages cannot be decoded {text}" if "into" in text else text):
        decoder_for(type_)
