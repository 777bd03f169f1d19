from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types
import msgspec
import pydantic
import pytest

from django_bolt import Cookie, Depends, Header, Path, Query, WebSocket
from tests.endpoints.parameters.requests import convert, errors_of, refusal_of, with_annotation


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Filters(msgspec.Struct):
    page: Annotated[int, Query(ge=1, alias="p")] = 1
    colours: list[Colour] = []
    max_age: int | None = None


class Range(msgspec.Struct):
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("start is after end")


@dataclass
class Credentials:
    x_token: str
    session: Annotated[str, Cookie()] = ""


class Nested(msgspec.Struct):
    filters: Filters


def get_value() -> int:
    return 5


CREDENTIALS = (("x-token", "abc"), ("cookie", "session=s1"))


def test_each_source_is_read() -> None:
    async def handler(
        websocket: WebSocket,
        room: int,
        page: Annotated[int, Query()],
        user_agent: Annotated[str, Header()],
        session: Annotated[str, Cookie()],
    ) -> None:
        """Do nothing."""

    headers = (("user-agent", "test"), ("cookie", "session=s1"))
    assert convert(handler, "page=2", headers=headers, path={"room": "1"}) == {
        "room": 1,
        "page": 2,
        "user_agent": "test",
        "session": "s1",
    }


def test_every_bad_parameter_is_named_with_its_source() -> None:
    async def handler(
        websocket: WebSocket,
        room: int,
        page: Annotated[int, Query(alias="p", ge=1)],
        x_version: Annotated[int, Header()],
        size: Annotated[int, Cookie()],
        absent: Annotated[str, Header(alias="X-Absent")],
    ) -> None:
        """Do nothing."""

    headers = (("x-version", "one"), ("cookie", "size=big"))
    assert errors_of(handler, "p=0", headers=headers, path={"room": "x"}) == [
        {"parameter": "room", "in": "path", "message": "Expected `int`, got `str`"},
        {"parameter": "p", "in": "query", "message": "Expected `int` >= 1"},
        {"parameter": "x-version", "in": "header", "message": "Expected `int`, got `str`"},
        {"parameter": "size", "in": "cookie", "message": "Expected `int`, got `str`"},
        {"parameter": "x-absent", "in": "header", "message": "Missing"},
    ]


def test_a_mark_may_go_without_parentheses() -> None:
    assert convert(with_annotation(Annotated[int, Header]), headers=(("value", "1"),)) == {"value": 1}


@pytest.mark.parametrize(
    ("mark", "good", "bad"),
    [
        (Query(gt=1), "2", "1"),
        (Query(ge=1), "1", "0"),
        (Query(lt=1), "0", "1"),
        (Query(le=1), "1", "2"),
        (Query(multiple_of=5), "10", "11"),
        (Query(gt=1, le=3, description="Few."), "3", "4"),
    ],
)
@pytest.mark.parametrize("annotation", [int, float, int | None])
def test_constraints_on_numbers(annotation: Any, mark: Query, good: str, bad: str) -> None:
    handler = with_annotation(Annotated[annotation, mark])
    assert convert(handler, f"value={good}") == {"value": float(good)}
    assert errors_of(handler, f"value={bad}")[0]["message"].startswith("Expected")


@pytest.mark.parametrize(
    ("mark", "good", "bad"),
    [
        (Query(min_length=2), "ab", "a"),
        (Query(max_length=1), "a", "ab"),
        (Query(pattern="^[a-c]+$"), "abc", "abd"),
    ],
)
def test_constraints_on_text(mark: Query, good: str, bad: str) -> None:
    handler = with_annotation(Annotated[str | None, mark])
    assert convert(handler, f"value={good}") == {"value": good}
    assert errors_of(handler, f"value={bad}")[0]["message"].startswith("Expected `str`")


def test_constraints_of_msgspec_go_as_well() -> None:
    handler = with_annotation(Annotated[int, msgspec.Meta(ge=1), Query(le=3)])
    assert [len(errors_of(handler, f"value={value}")) for value in (0, 4)] == [1, 1]
    assert convert(handler, "value=2") == {"value": 2}


def test_constraints_on_a_list_and_on_its_items() -> None:
    items = Annotated[int, msgspec.Meta(ge=1)]
    handler = with_annotation(Annotated[list[items], Query(max_length=2)])  # type: ignore[valid-type]
    assert convert(handler, "value=1&value=2") == {"value": [1, 2]}
    assert "length <= 2" in errors_of(handler, "value=1&value=2&value=3")[0]["message"]
    assert "$[0]" in errors_of(handler, "value=0")[0]["message"]


def test_a_list_takes_every_repeated_header_field() -> None:
    handler = with_annotation(Annotated[list[int], Header(alias="X-Value")])
    assert convert(handler, headers=(("x-value", "1"), ("x-value", "2"))) == {"value": [1, 2]}


def test_a_path_parameter_may_have_another_name() -> None:
    handler = with_annotation(Annotated[int, Path(alias="room", ge=1)])
    assert convert(handler, path={"room": "5"}) == {"value": 5}
    assert errors_of(handler, path={"room": "0"})[0]["parameter"] == "room"


def test_a_name_in_the_path_may_be_that_of_a_query_parameter_too() -> None:
    async def handler(
        websocket: WebSocket, room: str, other: Annotated[str, Query(alias="room")] = ""
    ) -> None:
        """Do nothing."""

    assert convert(handler, "room=b", path={"room": "a"}) == {"room": "a", "other": "b"}


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("annotation", [Filters, Annotated[Filters, Query()], Annotated[Filters, Query]])
def test_a_struct_gathers_query_parameters(annotation: Any) -> None:
    handler = with_annotation(annotation)
    assert convert(handler, "p=2&colours=red&colours=blue&other=1") == {
        "value": Filters(page=2, colours=[Colour.RED, Colour.BLUE])
    }
    assert convert(handler) == {"value": Filters()}
    assert errors_of(handler, "p=0&colours=green&max_age=old") == [
        {"parameter": "p", "in": "query", "message": "Expected `int` >= 1"},
        {"parameter": "colours", "in": "query", "message": "Invalid enum value 'green' - at `$[0]`"},
        {"parameter": "max_age", "in": "query", "message": "Expected `int`, got `str`"},
    ]


def test_a_dataclass_gathers_headers_and_its_fields_may_come_from_elsewhere() -> None:
    handler = with_annotation(Annotated[Credentials, Header()])
    assert convert(handler, headers=CREDENTIALS) == {"value": Credentials("abc", "s1")}
    assert errors_of(handler) == [{"parameter": "x-token", "in": "header", "message": "Missing"}]


def test_underscores_are_kept_in_a_group_too_where_it_is_said() -> None:
    handler = with_annotation(Annotated[Credentials, Header(convert_underscores=False)])
    assert convert(handler, headers=(("x_token", "a"),)) == {"value": Credentials("a")}


def test_cookies_are_gathered() -> None:
    handler = with_annotation(Annotated[Range, Cookie()])
    assert convert(handler, headers=(("cookie", "start=1; end=2"),)) == {"value": Range(1, 2)}


def test_a_group_checks_its_members_against_each_other() -> None:
    handler = with_annotation(Range)
    assert errors_of(handler, "start=2&end=1") == [
        {"parameter": "value", "in": "query", "message": "start is after end"}
    ]


def test_a_group_may_have_a_default() -> None:
    assert convert(with_annotation(Range | None, None)) == {}
    assert convert(with_annotation(Range | None, None), "start=1&end=2") == {"value": Range(1, 2)}
    assert errors_of(with_annotation(Range | None, None), "start=1")[0]["parameter"] == "end"


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Annotated[int, Query(min_length=1)], "parameter 'value' has the annotation"),
        (Annotated[int, Query(gt=1, ge=1)], "parameter 'value': Cannot specify both"),
        (Annotated[str, Query(pattern="(")], "parameter 'value': missing )"),
        (Annotated[int, Query(), Header()], "more than one of Path, Query"),
        (Annotated[int, Query(), Depends(get_value)], "more than one of Path, Query"),
        (Annotated[int, Depends], "write Depends(function)"),
        (Annotated[int | None, Depends()], "its annotation is no class"),
        (Annotated[int, Path()], "the path has no parameter 'value'"),
        (Annotated[list[int], Cookie()], "is a cookie and cannot be a list"),
        (Annotated[Filters, Query(alias="x")], "name and constrain its fields"),
        (Annotated[Filters, Query(ge=1)], "name and constrain its fields"),
        (Nested, "field 'filters' of Nested has the annotation Filters"),
        (list[Filters], "supported are"),
        (Annotated[int, pydantic.Field(ge=1)], "has a mark of pydantic, FieldInfo, which says nothing here"),
        (Annotated[int, annotated_types.Ge(1), Query()], "mark of annotated_types, Ge,"),
        (list[Annotated[str, annotated_types.MinLen(1)]], "from these or from msgspec.Meta"),
        (pydantic.PositiveInt | None, "mark of annotated_types, Gt,"),
    ],
)
def test_annotations_that_cannot_work_are_refused(annotation: Any, text: str) -> None:
    assert text in refusal_of(with_annotation(annotation))


def test_a_field_that_depends_is_refused() -> None:
    class Group(msgspec.Struct):
        field: Annotated[int, Depends(get_value)]

    assert "field 'field' of Group cannot be a dependency" in refusal_of(with_annotation(Group))


def test_a_list_or_a_group_in_the_path_is_refused() -> None:
    assert "in the path and cannot be a list" in refusal_of(with_annotation(list[int]), "value")
    assert "in the path and cannot be a Filters" in refusal_of(with_annotation(Filters), "value")


def test_a_mark_that_is_only_a_note_is_passed_over() -> None:
    assert convert(with_annotation(Annotated[int, "a note"]), "value=1") == {"value": 1}
    assert convert(with_annotation(Literal["a", "b"]), "value=b") == {"value": "b"}


def test_a_method_that_is_not_bound_is_refused() -> None:
    class Rooms:
        async def enter(self, websocket: WebSocket) -> None:
            """Do nothing."""

        async def leave(self, websocket) -> None:  # type: ignore[no-untyped-def]
            """Do nothing."""

    for function in (Rooms.enter, Rooms.leave, with_annotation(Annotated[Any, Depends(Rooms.enter)])):
        assert "takes 'self', which nothing fills: give a method of an instance" in refusal_of(function)
    assert convert(Rooms().enter) == {}


def test_marks_as_defaults_are_told_from_dependencies() -> None:
    assert "mark of pydantic, FieldInfo" in refusal_of(with_annotation(int, pydantic.Field(1, ge=1)))
    assert "write Annotated[..., Query()]" in refusal_of(with_annotation(int, Query(ge=1)))
    twice = with_annotation(Annotated[int, Depends(get_value)], Depends(get_value))
    assert "a second mark besides the Depends()" in refusal_of(twice)
    assert "a default besides Depends()" in refusal_of(with_annotation(Annotated[int, Depends(get_value)], 1))


def test_a_handler_without_a_place_for_the_connection_is_refused() -> None:
    async def empty() -> None:
        """Do nothing."""

    async def only_path(room: str) -> None:
        """Do nothing."""

    async def other(page: int) -> None:
        """Do nothing."""

    async def optional(websocket: WebSocket | None) -> None:
        """Do nothing."""

    async def keywords(**kwargs: str) -> None:
        """Do nothing."""

    async def default(value=Depends(get_value)) -> None:  # type: ignore[no-untyped-def]
        """Do nothing."""

    assert "must take the WebSocket" in refusal_of(empty)
    assert "is 'room'" in refusal_of(only_path, "room")
    assert "is 'page', annotated int" in refusal_of(other)
    assert "is 'websocket', annotated" in refusal_of(optional)
    assert "must take the WebSocket" in refusal_of(keywords)
    assert "is 'value'" in refusal_of(default)


def test_more_than_one_connection_is_refused() -> None:
    async def two(one: WebSocket, other: WebSocket) -> None:
        """Do nothing."""

    assert "more than one parameter is annotated WebSocket: one, other" in refusal_of(two)


def test_a_connection_without_its_annotation_is_not_taken_for_a_parameter() -> None:
    def depends_on(call: Callable[..., Any]) -> Callable[..., Any]:
        return with_annotation(Annotated[Any, Depends(call)])

    def get(websocket):  # type: ignore[no-untyped-def]
        """Do nothing."""

    assert "needs the annotation WebSocket" in refusal_of(depends_on(get))
