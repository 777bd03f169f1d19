from __future__ import annotations

import enum
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import msgspec
import pytest

from django_bolt.endpoints.parameters.signatures import UnsuitableError
from django_bolt.endpoints.parameters.types import check_type, convert, is_list, show, simplify


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Unsupported:
    pass


UserId = NewType("UserId", int)
Positive = Annotated[int, msgspec.Meta(ge=1)]
UUID_TEXT = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

CONVERSIONS = [
    (str, "12", "12"),
    (str, "", ""),
    (int, "12", 12),
    (int, "-3", -3),
    (float, "1.5", 1.5),
    (float, "3", 3.0),
    (float, "1e3", 1000.0),
    (bool, "true", True),
    (bool, "false", False),
    (bool, "1", True),
    (bool, "0", False),
    (UUID, UUID_TEXT, UUID(UUID_TEXT)),
    (date, "2024-02-29", date(2024, 2, 29)),
    (datetime, "2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
    (datetime, "1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
    (time, "12:00:00", time(12)),
    (timedelta, "90", timedelta(seconds=90)),
    (timedelta, "PT5M", timedelta(minutes=5)),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, "1e400", Decimal("1e400")),
    (Colour, "red", Colour.RED),
    (Level, "2", Level.HIGH),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], "2", 2),
    (Literal["a", None], "a", "a"),
    (UserId, "5", 5),
    (int | None, "5", 5),
    (str | None, "null", "null"),
    (Optional[int], "5", 5),  # noqa: UP045 - as older code writes it
    (Union[int, str], "x", "x"),  # noqa: UP007 - likewise
    (int | str, "1.0", "1.0"),
    (int | float, "1.0", 1.0),
    (int | float, "1", 1),
    (float | str, "nan", "nan"),
    (Positive, "5", 5),
    (Positive | None, "5", 5),
    (Annotated[int | None, msgspec.Meta(ge=1)], "5", 5),
    (Annotated[str, "a remark"], "x", "x"),
    (list[int], ["1", "2"], [1, 2]),
    (list[Colour] | None, ["red"], [Colour.RED]),
    (list[int | None], ["1"], [1]),
]
FAILURES = [
    (int, "twelve"),
    (int, ""),
    (int, " 1"),
    (int, "+1"),
    (int, "1_000"),
    (int, "1.5"),
    (int, "1.0"),
    (int, "1e3"),
    (int, "9" * 5000),
    (float, "x"),
    (float, "nan"),
    (float, "inf"),
    (float, "-Infinity"),
    (float, "1e999"),
    (int | float, "nan"),
    (bool, "yes"),
    (UUID, "x"),
    (date, "2024-02-30"),
    (datetime, "today"),
    (Decimal, "x"),
    (Decimal, "NaN"),
    (Decimal, "sNaN"),
    (Decimal, "Infinity"),
    (Colour, "green"),
    (Level, "3"),
    (Level, "1.0"),
    (Literal["a", "b"], "c"),
    (Literal["a", None], "null"),
    (Literal[1, 2], "1.0"),
    (UserId, "x"),
    (int | None, "x"),
    (int | None, "null"),
    (date | None, "null"),
    (Positive, "0"),
    (Annotated[int | None, msgspec.Meta(ge=1)], "0"),
    (list[int], ["1", "x"]),
    (list[int | None], ["null"]),
]


def name_of(value: Any) -> str:
    return str(value)[:40]


@pytest.mark.parametrize(("hint", "text", "expected"), CONVERSIONS, ids=name_of)
def test_text_is_converted(hint: Any, text: Any, expected: Any) -> None:
    simple = simplify(hint)
    check_type("it", simple)
    value = convert(text, simple)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("hint", "text"), FAILURES, ids=name_of)
def test_text_that_does_not_convert_says_why(hint: Any, text: Any) -> None:
    simple = simplify(hint)
    check_type("it", simple)
    with pytest.raises(ValueError, match=r"."):
        convert(text, simple)


@pytest.mark.parametrize(
    ("hint", "text", "message"),
    [
        (int, "1.0", "Expected `int`, got `float`"),
        (int, "x", "Expected `int`, got `str`"),
        (float, "nan", "Number out of range"),
        (Decimal, "NaN", "Number out of range"),
        (list[int], ["1", "1.0"], "Expected `int`, got `float` - at `$[1]`"),
        (list[int], ["1", "x"], "Expected `int`, got `str` - at `$[1]`"),
        (Positive, "0", "Expected `int` >= 1"),
    ],
)
def test_messages(hint: Any, text: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        convert(text, hint)
    assert str(caught.value) == message


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_a_type_statement_is_seen_through() -> None:
    names: dict[str, Any] = {}
    exec("type Number = int\ntype Maybe = Number | None", names)
    assert simplify(names["Maybe"]) is int


@pytest.mark.parametrize(
    "hint",
    [
        Unsupported,
        dict,
        dict[str, int],
        list,
        list[Unsupported],
        list[list[int]],
        bytes,
        object,
        Any,
        None,
        tuple[int],
        set[int],
        Literal[None],
        Annotated[int, msgspec.Meta(min_length=1)],
        Annotated[list[int], msgspec.Meta(ge=1)],
        UUID | date,
    ],
)
def test_what_is_not_supported_is_refused(hint: Any) -> None:
    with pytest.raises(
        UnsuitableError, match=r"^it has the annotation .*(Struct|msgspec|str-like|`|Literal)"
    ):
        check_type("it", simplify(hint))


def test_lists_are_told_from_the_rest() -> None:
    for hint in (list[int], list[int] | None, Annotated[list[int], "x"]):
        assert is_list(hint)
    for hint in (int, int | None, Annotated[int, "x"], Literal["a"]):
        assert not is_list(hint)


def test_annotations_are_shown_as_they_are_written() -> None:
    assert show(int) == "int"
    assert show(Unsupported) == "Unsupported"
    assert show(list[int]) == "list[int]"
    assert show(int | None) == "int | None"
