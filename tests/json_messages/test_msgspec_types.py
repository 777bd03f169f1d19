from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from django_bolt import InvalidMessage
from django_bolt.json_messages.msgspec_types import make_msgspec_decoder


class Say(msgspec.Struct, tag="say"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


class Tree(msgspec.Struct):
    children: list[Tree] = []


class User(BaseModel):
    name: str
    age: int


class Invitation(msgspec.Struct):
    users: dict[str, list[User]]
    host: User | None = None
    note: object = None


@dataclass
class Percentage:
    value: int

    def __post_init__(self) -> None:
        if self.value > 100:
            raise ValueError("more than `100`")


class Named(TypedDict):
    name: str


@pytest.mark.parametrize(
    ("type_", "message", "value"),
    [
        (Say | Leave, '{"type":"say","text":"hi"}', Say("hi")),
        (Say | Leave, b'{"type":"leave"}', Leave()),
        (list[Say | Leave] | None, '[{"type":"leave"}]', [Leave()]),
        (Percentage, '{"value":1}', Percentage(1)),
        (Named, '{"name":"Ada","more":1}', {"name": "Ada"}),
        (Tree, '{"children":[{},{}]}', Tree([Tree(), Tree()])),
        (object, "[1]", [1]),
    ],
)
def test_what_fits_is_built(type_: Any, message: str | bytes, value: Any) -> None:
    assert make_msgspec_decoder(type_).raising()(message) == value


@pytest.mark.parametrize(
    ("type_", "message", "path", "reason"),
    [
        (Say | Leave, '{"type":"shout"}', "$.type", "Invalid value 'shout'"),
        (Say | Leave, '{"text":"hi"}', "$", "Object missing required field `type`"),
        (Say | Leave, '{"type":"say"}', "$", "Object missing required field `text`"),
        (Percentage, '{"value":101}', "$", "more than `100`"),
        (list[Percentage], '[{"value":1},{"value":101}]', "$[1]", "more than `100`"),
        (dict[str, int], '{"a - at `b`":"c"}', "$[...]", "Expected `int`, got `str`"),
    ],
)
def test_what_does_not_fit_says_where_and_why(type_: Any, message: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        make_msgspec_decoder(type_).raising()(message)
    assert (caught.value.path, caught.value.reason) == (path, reason)


def test_models_within_a_struct_are_left_to_pydantic() -> None:
    decode = make_msgspec_decoder(Invitation).raising()
    message = '{"users":{"a":[{"name":"Ada","age":"36"}]},"host":null,"note":[1]}'
    assert decode(message) == Invitation({"a": [User(name="Ada", age=36)]}, None, [1])


def test_errors_of_models_within_a_struct_are_placed_in_the_message() -> None:
    decode = make_msgspec_decoder(Invitation).raising()
    with pytest.raises(InvalidMessage) as caught:
        decode('{"users":{"a":[{"name":"Ada","age":36},{"age":"old"}]}}')
    assert caught.value.errors == [
        {"path": "$.users[...][1].name", "reason": "Field required"},
        {
            "path": "$.users[...][1].age",
            "reason": "Input should be a valid integer, unable to parse string as an integer",
        },
    ]
    with pytest.raises(InvalidMessage) as caught:
        decode('{"users":[]}')
    assert (caught.value.path, caught.value.reason) == ("$.users", "Expected `object`, got `array`")


def test_an_error_of_the_type_itself_is_not_the_fault_of_the_message() -> None:
    class Broken(msgspec.Struct):
        x: int

        def __post_init__(self) -> None:
            raise KeyError("x")

    with pytest.raises(KeyError):
        make_msgspec_decoder(Broken).raising()('{"x":1}')
