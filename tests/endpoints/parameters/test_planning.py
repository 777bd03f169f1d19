from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union
from uuid import UUID

import msgspec
import pytest

from django_bolt import InvalidHandler, InvalidParameters, WebSocket
from django_bolt.endpoints.parameters import locate, plan_parameters
from tests.memory_connection import MemoryConnection

if TYPE_CHECKING:
    from collections import OrderedDict


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Unsupported:
    pass


UUID_TEXT = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
CONVERSIONS = [
    (str, "12", "12"),
    (str, "", ""),
    (int, "12", 12),
    (int, "-3", -3),
    (float, "1.5", 1.5),
    (bool, "true", True),
    (bool, "false", False),
    (bool, "1", True),
    (bool, "0", False),
    (UUID, UUID_TEXT, UUID(UUID_TEXT)),
    (date, "2024-02-29", date(2024, 2, 29)),
    (datetime, "2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
    (Decimal, "1.10", Decimal("1.10")),
    (Colour, "red", Colour.RED),
    (Level, "2", Level.HIGH),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], "2", 2),
    (int | None, "5", 5),
    (Optional[int], "5", 5),  # noqa: UP045 - as older code writes it
    (Union[int, str], "x", "x"),  # noqa: UP007 - likewise
    (Annotated[int, msgspec.Meta(ge=1)], "5", 5),
]
FAILURES = [
    (int, "twelve"),
    (int, ""),
    (int, "1.5"),
    (int, "9" * 5000),
    (float, "x"),
    (bool, "yes"),
    (UUID, "x"),
    (date, "2024-02-30"),
    (datetime, "today"),
    (Decimal, "x"),
    (Colour, "green"),
    (Level, "3"),
    (Literal["a", "b"], "c"),
    (int | None, "x"),
    (Annotated[int, msgspec.Meta(ge=1)], "0"),
]


def with_annotation(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    """Make a handler with one parameter ``value``."""

    async def handler(websocket: WebSocket, value: Any) -> None:
        """Do nothing."""

    handler.__annotations__["value"] = annotation
    if default is not ...:
        handler.__defaults__ = (default,)
    return handler


def convert(handler: Callable[..., Any], query: str = "", **path: str) -> dict[str, Any]:
    websocket = MemoryConnection(f"/?{query}")
    websocket.path_params.update(path)
    return plan_parameters(handler, tuple(path)).gather(websocket)[-1]


def errors_of(handler: Callable[..., Any], query: str = "", **path: str) -> list[Any]:
    with pytest.raises(InvalidParameters) as caught:
        convert(handler, query, **path)
    return caught.value.errors


def refusal_of(handler: Callable[..., Any], *path_names: str) -> str:
    with pytest.raises(InvalidHandler) as caught:
        plan_parameters(handler, path_names)
    assert locate(handler) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("annotation", "text", "expected"), CONVERSIONS)
def test_text_is_converted_by_the_annotation(annotation: Any, text: str, expected: Any) -> None:
    from_path = convert(with_annotation(annotation), value=text)
    from_query = convert(with_annotation(annotation), f"value={text}")
    assert from_path == from_query == {"value": expected}
    assert type(from_path["value"]) is type(expected)


@pytest.mark.parametrize(("annotation", "text"), FAILURES)
def test_text_that_does_not_convert_is_named(annotation: Any, text: str) -> None:
    [in_path] = errors_of(with_annotation(annotation), value=text)
    [in_query] = errors_of(with_annotation(annotation), f"value={text}")
    assert (in_path["parameter"], in_path["in"]) == ("value", "path")
    assert (in_query["parameter"], in_query["in"]) == ("value", "query")
    assert in_path["message"] == in_query["message"] != ""


def test_every_bad_parameter_is_named() -> None:
    async def handler(websocket: WebSocket, room: int, page: int, size: int, ok: int = 1) -> None:
        """Do nothing."""

    assert errors_of(handler, "size=x&ok=2", room="a") == [
        {"parameter": "room", "in": "path", "message": "Expected `int`, got `str`"},
        {"parameter": "page", "in": "query", "message": "Missing"},
        {"parameter": "size", "in": "query", "message": "Expected `int`, got `str`"},
    ]


@pytest.mark.parametrize("annotation", [int, str, int | None, list[int]])
def test_without_a_default_a_parameter_is_required(annotation: Any) -> None:
    assert errors_of(with_annotation(annotation)) == [
        {"parameter": "value", "in": "query", "message": "Missing"}
    ]


def test_a_default_is_left_to_the_function() -> None:
    assert convert(with_annotation(str | None, None)) == {}
    assert convert(with_annotation(list[int], [])) == {}


def test_without_an_annotation_text_stays_text() -> None:
    async def handler(websocket, room, page="1"):  # type: ignore[no-untyped-def]
        """Do nothing."""

    assert convert(handler, "page=2", room="12") == {"room": "12", "page": "2"}


def test_a_list_takes_every_value_of_a_repeated_key() -> None:
    assert convert(with_annotation(list[int]), "value=1&value=2") == {"value": [1, 2]}
    assert convert(with_annotation(list[str]), "value=1") == {"value": ["1"]}
    assert convert(with_annotation(list[Colour] | None, None), "value=red") == {"value": [Colour.RED]}
    assert "$[1]" in errors_of(with_annotation(list[int]), "value=1&value=x")[0]["message"]


def test_of_a_repeated_key_a_scalar_takes_the_last_value_as_django_does() -> None:
    assert convert(with_annotation(int), "value=1&value=2") == {"value": 2}


def test_unknown_query_keys_are_passed_over() -> None:
    assert convert(with_annotation(int), "value=1&other=2") == {"value": 1}


def test_a_name_in_the_path_is_not_taken_from_the_query() -> None:
    assert convert(with_annotation(int), "value=1", value="2") == {"value": 2}


def test_keyword_arguments_take_path_parameters_that_are_not_named() -> None:
    async def handler(websocket: WebSocket, a: int, **rest: str) -> None:
        """Do nothing."""

    assert convert(handler, "c=3", a="1", b="2") == {"a": 1, "b": "2"}


@pytest.mark.parametrize("name", ["first", "later", "keyword"])
def test_the_connection_goes_where_it_is_annotated(name: str) -> None:
    async def first(socket: WebSocket, room: str) -> None:
        """Do nothing."""

    async def later(room: str, socket: WebSocket) -> None:
        """Do nothing."""

    async def keyword(room: str, *, socket: WebSocket) -> None:
        """Do nothing."""

    plan = plan_parameters({"first": first, "later": later, "keyword": keyword}[name], ("room",)).handler
    assert plan.websocket == (None if name == "first" else "socket")
    assert [parameter.name for parameter in plan.parameters] == ["room"]


def test_the_first_parameter_takes_the_connection_where_none_is_annotated() -> None:
    async def bare(socket, room: str):  # type: ignore[no-untyped-def]
        """Do nothing."""

    async def anything(socket: Any, room: str) -> None:
        """Do nothing."""

    assert plan_parameters(bare, ("room",)).handler.websocket is None
    assert plan_parameters(anything, ("room",)).handler.websocket is None


def test_a_method_is_read_without_its_self() -> None:
    class Rooms:
        async def enter(self, websocket: WebSocket, room: int) -> None:
            """Do nothing."""

    assert convert(Rooms().enter, room="3") == {"room": 3}


def test_a_decorated_handler_is_read_through_its_decorator() -> None:
    async def inner(websocket: WebSocket, room: int) -> None:
        """Do nothing."""

    @functools.wraps(inner)
    async def outer(*args: Any, **kwargs: Any) -> None:
        await inner(*args, **kwargs)

    assert convert(outer, room="3") == {"room": 3}
    assert locate(outer) == locate(inner)


def test_an_annotation_of_the_return_value_need_not_resolve() -> None:
    async def handler(websocket: WebSocket, room: int) -> OrderedDict[str, int]:
        raise NotImplementedError

    assert convert(handler, room="3") == {"room": 3}


def test_a_place_names_module_function_file_and_line() -> None:
    function = with_annotation
    line = function.__code__.co_firstlineno
    assert locate(function) == f"{__name__}.with_annotation ({Path(__file__)}:{line})"
    assert locate(print) == "builtins.print"


@pytest.mark.parametrize(
    "annotation",
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
        tuple[int],
        set[int],
    ],
)
def test_an_annotation_that_is_not_supported_is_refused(annotation: Any) -> None:
    text = refusal_of(with_annotation(annotation))
    assert "'value'" in text
    assert "Literal" in text


def test_a_union_that_cannot_be_told_apart_is_refused() -> None:
    assert "more than one str-like type" in refusal_of(with_annotation(UUID | date))


def test_a_list_in_the_path_is_refused() -> None:
    assert "cannot be a list" in refusal_of(with_annotation(list[int]), "value")


def test_an_annotation_that_does_not_resolve_is_refused() -> None:
    async def handler(websocket: WebSocket, value: OrderedDict[str, int]) -> None:
        """Do nothing."""

    assert "'OrderedDict' is not defined" in refusal_of(handler)


def test_a_path_parameter_that_the_handler_does_not_take_is_refused() -> None:
    assert "the path has the parameter 'room'" in refusal_of(with_annotation(int), "room")


def test_a_handler_without_a_place_for_the_connection_is_refused() -> None:
    async def empty() -> None:
        """Do nothing."""

    async def only_path(room: str) -> None:
        """Do nothing."""

    async def other(page: int) -> None:
        """Do nothing."""

    async def keywords(**kwargs: str) -> None:
        """Do nothing."""

    assert "must take the WebSocket" in refusal_of(empty)
    assert "is 'room'" in refusal_of(only_path, "room")
    assert "is 'page'" in refusal_of(other)
    assert "must take the WebSocket" in refusal_of(keywords)


def test_signatures_that_cannot_be_filled_are_refused() -> None:
    async def positional(websocket: WebSocket, *args: str) -> None:
        """Do nothing."""

    async def positional_only(websocket: WebSocket, room: str, /) -> None:
        """Do nothing."""

    async def two(one: WebSocket, other: WebSocket) -> None:
        """Do nothing."""

    assert "*args" in refusal_of(positional)
    assert "positional-only" in refusal_of(positional_only)
    assert "more than one" in refusal_of(two)
