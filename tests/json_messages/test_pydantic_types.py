from __future__ import annotations

import dataclasses
import functools
import json
from datetime import date
from enum import Enum
from operator import or_
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Field, PositiveInt, RootModel, TypeAdapter
from typing_extensions import TypeAliasType

from django_bolt import InvalidMessage
from django_bolt.json_messages import decoder_for
from django_bolt.json_messages.pydantic_types import (
    MAX_ERRORS,
    Discriminator,
    InvalidPart,
    convert_part,
    discriminator_of,
    is_pydantic,
    is_pydantic_value,
    make_pydantic_decoder,
    pydantic_to_json,
)

T = TypeVar("T")


class Item(BaseModel):
    name: str
    price: int


class Say(BaseModel):
    type: Literal["say"]
    text: str
    items: list[Item] = []


class Leave(BaseModel):
    type: Literal["leave", "quit"] = "leave"


class Numbered(BaseModel, Generic[T]):
    number: int
    value: T


class Numbers(RootModel[list[int]]):
    """A list."""


@pydantic.dataclasses.dataclass
class Point:
    x: int


class Even(BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def check(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


class Struct(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Plain:
    x: int


Alias = TypeAliasType("Alias", Say | Leave)
Cheap = NewType("Cheap", Item)
TAGGED = Annotated[Say | Leave, Field(discriminator="type")]


@pytest.mark.parametrize(
    "type_",
    [
        Item,
        list[Item],
        dict[str, Item | None],
        Say | Leave,
        Optional[Say],  # noqa: UP045 - the older spellings are other objects
        Union[Say, Leave],  # noqa: UP007
        TAGGED,
        Numbered[int],
        Numbers,
        Point,
        PositiveInt,
        Annotated[str, Field(max_length=3)],
        pydantic.AnyUrl,
        Alias,
        Cheap,
    ],
    ids=str,
)
def test_types_of_pydantic_and_those_composed_of_them_are_known(type_: Any) -> None:
    assert is_pydantic(type_)
    make_pydantic_decoder(type_)


@pytest.mark.parametrize(
    "type_",
    [
        int,
        Any,
        None,
        Struct,
        Plain,
        Struct | None,
        list[Plain],
        Literal["a"],
        dict[str, Any],
        Annotated[int, "x"],
    ],
    ids=str,
)
def test_other_types_are_not_taken_for_its_own(type_: Any) -> None:
    assert not is_pydantic(type_)


def test_values_of_pydantic_are_known_by_their_class() -> None:
    assert all(map(is_pydantic_value, (Item, Point, pydantic.AnyUrl, pydantic.SecretStr)))
    assert not any(map(is_pydantic_value, (int, Struct, Plain, object)))
    assert pydantic_to_json(Numbers([1, 2])) == b"[1,2]"


@pytest.mark.parametrize(
    ("type_", "message", "value"),
    [
        (Item, '{"name":"a","price":"1"}', Item(name="a", price=1)),
        (list[Item], b'[{"name":"a","price":1}]', [Item(name="a", price=1)]),
        (Say | Leave, '{"type":"quit"}', Leave(type="quit")),
        (TAGGED, '{"type":"leave"}', Leave()),
        (
            Numbered[date],
            '{"number":1,"value":"2026-02-28"}',
            Numbered[date](number=1, value=date(2026, 2, 28)),
        ),
        (Numbers, "[1]", Numbers([1])),
        (Point, '{"x":1}', Point(1)),
    ],
)
def test_what_fits_is_built(type_: Any, message: str | bytes, value: Any) -> None:
    assert decoder_for(type_)(message) == value


@pytest.mark.parametrize(
    ("type_", "message", "errors"),
    [
        (Item, "{}", [("$.name", "Field required"), ("$.price", "Field required")]),
        (Item, "[]", [("$", "Input should be an object")]),
        (Item, '{"name":', [("$", "Invalid JSON")]),
        (Item, b"\xff", [("$", "Invalid JSON")]),
        (Item, "[" * 10_000, [("$", "Invalid JSON")]),
        (Even, '{"number":1}', [("$.number", "Value error, must be even")]),
        (
            Say | Leave,
            '{"type":"say","items":[{"name":"a","price":1},{"name":"b"}]}',
            [("$.text", "Field required"), ("$.items[1].price", "Field required")],
        ),
        (TAGGED, '{"type":"say"}', [("$.text", "Field required")]),
        (TAGGED, '{"type":"shout"}', [("$", "Input tag 'shout' found using 'type'")]),
        (
            Item | int,
            '{"name":"a"}',
            [("$.price", "Field required"), ("$", "Input should be a valid integer")],
        ),
        (dict[str, Item], '{"a b":{"name":"c"}}', [("$[...].price", "Field required")]),
        (
            dict[int, Item],
            '{"a":{"name":"c"}}',
            [("$.a", "Input should be"), ("$.a.price", "Field required")],
        ),
    ],
)
def test_all_errors_say_where_and_why(type_: Any, message: str | bytes, errors: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(type_)(message)
    found = caught.value.errors
    assert [error["path"] for error in found] == [path for path, _ in errors]
    assert all(error["reason"].startswith(reason) for error, (_, reason) in zip(found, errors, strict=True))
    assert (caught.value.path, caught.value.reason) == (found[0]["path"], found[0]["reason"])


def test_a_long_key_is_not_repeated_in_each_of_its_errors() -> None:
    key = "k" * 10_000
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(dict[str, list[Item]])(json.dumps({key: [{}] * 40}))
    assert len(caught.value.errors) == 80
    assert caught.value.errors[0]["path"] == "$[...][0].name"


def test_beyond_a_number_errors_are_only_counted() -> None:
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(list[Point])(f"[{','.join(['{}'] * MAX_ERRORS)}]")
    assert len(caught.value.errors) == MAX_ERRORS
    with pytest.raises(InvalidMessage) as caught:
        decoder_for(list[Point])(f"[{','.join(['{}'] * (MAX_ERRORS + 1))}]")
    assert caught.value.errors == [{"path": "$", "reason": f"{MAX_ERRORS + 1} errors, too many to list"}]


def test_an_error_of_the_type_itself_is_not_the_fault_of_the_message() -> None:
    class Broken(BaseModel):
        x: int

        @pydantic.field_validator("x")
        @classmethod
        def check(cls, value: int) -> int:
            raise KeyError(value)

    with pytest.raises(KeyError):
        decoder_for(Broken)('{"x":1}')


def test_a_part_of_a_message_takes_what_a_message_takes() -> None:
    class Strict(BaseModel, strict=True):
        on: date

    assert convert_part(Strict, {"on": "2026-02-28"}) == Strict(on=date(2026, 2, 28))
    with pytest.raises(InvalidPart) as caught:
        convert_part(Strict, {"on": 1})
    assert [error["path"] for error in caught.value.errors] == ["$.on"]


class Kind(Enum):
    SHOUT = "shout"


class Shout(BaseModel):
    type: Literal[Kind.SHOUT]


class Aliased(BaseModel):
    kind: Literal["one"] = Field(alias="k")


class OtherAliased(BaseModel):
    kind: Literal["two"] = Field(alias="k")


class Sung(BaseModel):
    type: Literal["say"]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        ([Say, Leave], Discriminator("type", "type", ("say", "leave", "quit"))),
        ([Say, Shout], Discriminator("type", "type", ("say", "shout"))),
        ([Aliased, OtherAliased], Discriminator("kind", "k", ("one", "two"))),
        ([Say, Sung], None),
        ([Say, Item], None),
        ([Item, Even], None),
        ([Say, int], None),
    ],
)
def test_a_literal_with_values_of_its_own_tells_models_apart(
    models: list[Any], found: Discriminator | None
) -> None:
    assert discriminator_of(models) == found
    if found:
        TypeAdapter(Annotated[functools.reduce(or_, models), Field(discriminator=found.name)])
