from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar

import msgspec
import pytest
from pydantic import BaseModel

from django_bolt import InvalidMessage, UnsupportedData
from django_bolt.endpoints.message_types import decoder_of_messages, is_raw, runtime_class

T = TypeVar("T")


class Say(msgspec.Struct, tag="say"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


class Draw(msgspec.Struct, tag="draw", array_like=True):
    x: int


class Other(msgspec.Struct, tag="other", tag_field="kind"):
    """Tagged in another way."""


class Again(msgspec.Struct, tag="say"):
    """Tagged as another."""


class Plain(msgspec.Struct):
    x: int


class Holding(msgspec.Struct, Generic[T]):
    held: T


@dataclass
class Point:
    x: int


@dataclass
class Line:
    y: int


class Named(TypedDict):
    name: str


class Paint(BaseModel):
    type: Literal["paint"] = "paint"
    colour: str


class Wipe(BaseModel):
    type: Literal["wipe"]


class Untagged(BaseModel):
    x: int


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (Say, Say),
        (Point, Point),
        (Paint, Paint),
        (Holding[int], Holding),
        (Named, dict),
        (dict, dict),
        (dict[str, int], dict),
        (list[int], list),
        (Annotated[list[int], msgspec.Meta(max_length=1)], list),
        (str, str),
        (bytes, bytes),
        (InvalidMessage, InvalidMessage),
        (UnsupportedData, UnsupportedData),
    ],
)
def test_the_class_of_decoded_messages_is_known(type_: Any, kind: type) -> None:
    assert runtime_class(type_) is kind


@pytest.mark.parametrize(
    "type_", [int, float, bool, None, type(None), Any, object, set[int], ValueError, "Say"]
)
def test_what_is_no_type_of_message_is_refused(type_: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^messages cannot be of type .*; a method takes a msgspec\.Struct, "
    ):
        runtime_class(type_)


def test_text_and_binary_are_raw() -> None:
    assert [kind for kind in (str, bytes, dict, Say) if is_raw(kind)] == [str, bytes]


@pytest.mark.parametrize(
    ("types", "message", "value"),
    [
        ([Say, Leave], '{"type":"say","text":"hi"}', Say("hi")),
        ([Say, Leave], b'{"type":"leave"}', Leave()),
        ([Say, bytes], '{"type":"say","text":"hi"}', Say("hi")),
        ([Say, bytes], b'{"type":"say","text":"hi"}', b'{"type":"say","text":"hi"}'),
        ([Say, list[int]], "[1]", [1]),
        ([Plain], '{"x":1}', Plain(1)),
        ([Point], '{"x":1}', Point(1)),
        ([Named], '{"name":"Ada"}', {"name": "Ada"}),
        ([Holding[int]], '{"held":1}', Holding(1)),
        ([Paint], '{"colour":"red"}', Paint(colour="red")),
        ([Paint, Wipe], '{"type":"wipe"}', Wipe(type="wipe")),
        ([dict], '{"type":"say"}', {"type": "say"}),
        ([dict[str, int], list], "[true]", [True]),
        ([str], "{", "{"),
        ([bytes], b"{", b"{"),
        ([str, bytes], b"{", b"{"),
        ([str, bytes], "{", "{"),
        ([InvalidMessage, str], "{", "{"),
    ],
)
def test_a_message_becomes_what_it_is(types: list[Any], message: str | bytes, value: Any) -> None:
    decoded = decoder_of_messages(types)(message)
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("types", "message", "value"),
    [
        ([Say, Leave, dict], '{"type":"say","text":"hi"}', Say("hi")),
        ([Say, Leave, dict], '{"type":"shout"}', {"type": "shout"}),
        ([Say, Leave, dict], '{"type":["say"]}', {"type": ["say"]}),
        ([Say, dict], "{}", {}),
        ([Draw, dict], '["draw",1]', Draw(1)),
        ([Draw, dict], "{}", {}),
        ([Paint, dict], '{"type":"paint","colour":"red"}', Paint(colour="red")),
        ([Paint, Wipe, dict[str, str]], '{"type":"shout"}', {"type": "shout"}),
    ],
)
def test_a_dict_is_every_other_object(types: list[Any], message: str, value: Any) -> None:
    assert decoder_of_messages(types)(message) == value


@pytest.mark.parametrize(
    ("types", "message", "path", "reason"),
    [
        ([Say, Leave], '{"type":"shout"}', "$.type", "Invalid value 'shout'"),
        ([Say, Leave], "{", "$", "Input data was truncated"),
        ([Say, dict], '{"type":"say"}', "$", "Object missing required field `text`"),
        ([Say, dict], "[]", "$", "Expected `object`, got `array`"),
        ([Say, dict], "{", "$", "Input data was truncated"),
        ([Say, dict[str, int]], '{"type":"a"}', "$[...]", "Expected `int`, got `str`"),
        ([Paint, Wipe], '{"type":"paint"}', "$.colour", "Field required"),
        ([Paint, dict], '{"type":"paint"}', "$.colour", "Field required"),
        ([], "{}", "$", "No messages are taken here"),
        ([], b"", "$", "No messages are taken here"),
    ],
)
def test_what_is_none_of_the_types_is_returned_as_invalid(
    types: list[Any], message: str | bytes, path: str, reason: str
) -> None:
    invalid = decoder_of_messages(types)(message)
    assert type(invalid) is InvalidMessage
    assert (invalid.path, invalid.reason) == (path, reason)


@pytest.mark.parametrize(
    ("types", "message", "text"),
    [
        ([str], b"a", "Expected a text message, got a binary message"),
        ([bytes], "a", "Expected a binary message, got a text message"),
    ],
)
def test_the_other_kind_of_message_is_returned_as_unsupported(
    types: list[Any], message: str | bytes, text: str
) -> None:
    unsupported = decoder_of_messages(types)(message)
    assert type(unsupported) is UnsupportedData
    assert str(unsupported) == text


@pytest.mark.parametrize(
    ("types", "text"),
    [
        ([str, Say], "str takes every text message"),
        ([Say, Plain], "Say and Plain cannot be told apart; give each a tag"),
        ([Say, Again], "Say and Again cannot be told apart"),
        ([Say, Other], "Say and Other cannot be told apart"),
        ([Point, Line], "Point and Line cannot be told apart"),
        ([Say, Point], "Say and Point cannot be told apart"),
        ([Plain, dict], "Plain and dict cannot be told apart"),
        ([Say, Named, list], r"Say and Named and list cannot be told apart"),
        ([Paint, Untagged], "Paint and Untagged cannot be told apart"),
        ([Untagged, dict], "Untagged and dict cannot be told apart"),
        ([Paint, Say], "models of Pydantic cannot be mixed"),
        ([Holding[type]], r"cannot be decoded into .*Holding\[type\]: type is neither"),
    ],
)
def test_types_that_cannot_be_told_apart_are_refused(types: list[Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        decoder_of_messages(types)
