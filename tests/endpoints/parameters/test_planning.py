from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from django_bolt import Depends, InvalidHandler, SyncWebSocket, WebSocket
from django_bolt.endpoints.dependencies.depends import Dependency
from django_bolt.endpoints.parameters import Parameter, locate, plan_parameters
from tests.endpoints.parameters.requests import convert, errors_of, refusal_of, with_annotation


def names_of(plan: Any) -> list[str]:
    return [entry.name for entry in plan.parameters]


def calls_of(plan: Any) -> list[Any]:
    return [dependency.call for dependency in plan.dependencies]


# ── the handler ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_bad_parameter_is_named() -> None:
    async def handler(websocket: WebSocket, room: int, page: int, size: int, ok: int = 1) -> None:
        """Do nothing."""

    assert errors_of(handler, "size=x&ok=2", path={"room": "a"}) == [
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

    assert convert(handler, "page=2", path={"room": "12"}) == {"room": "12", "page": "2"}


def test_a_list_takes_every_value_of_a_repeated_key() -> None:
    assert convert(with_annotation(list[int]), "value=1&value=2") == {"value": [1, 2]}
    assert convert(with_annotation(list[str]), "value=1") == {"value": ["1"]}


def test_of_a_repeated_key_a_scalar_takes_the_last_value_as_django_does() -> None:
    assert convert(with_annotation(int), "value=1&value=2") == {"value": 2}


def test_unknown_query_keys_are_passed_over() -> None:
    assert convert(with_annotation(int), "value=1&other=2") == {"value": 1}


def test_a_name_in_the_path_is_not_taken_from_the_query() -> None:
    assert convert(with_annotation(int), "value=1", path={"value": "2"}) == {"value": 2}


def test_keyword_arguments_take_path_parameters_that_are_not_named() -> None:
    async def handler(websocket: WebSocket, a: int, **rest: str) -> None:
        """Do nothing."""

    assert convert(handler, "c=3", path={"a": "1", "b": "2"}) == {"a": 1, "b": "2"}


@pytest.mark.parametrize("name", ["first", "later", "keyword"])
def test_the_connection_goes_where_it_is_annotated(name: str) -> None:
    async def first(socket: WebSocket, room: str) -> None:
        """Do nothing."""

    async def later(room: str, socket: WebSocket) -> None:
        """Do nothing."""

    async def keyword(*, socket: WebSocket, room: str) -> None:
        """Do nothing."""

    handler = {"first": first, "later": later, "keyword": keyword}[name]
    plan = plan_parameters(handler, ("room",)).handler
    assert plan.websocket == (None if name == "first" else "socket")
    assert names_of(plan) == ["room"]


def test_the_first_parameter_takes_the_connection_where_none_is_annotated() -> None:
    async def bare(socket, room: str):  # type: ignore[no-untyped-def]
        """Do nothing."""

    async def anything(socket: Any, /, room: str) -> None:
        """Do nothing."""

    for handler in (bare, anything):
        plan = plan_parameters(handler, ("room",)).handler
        assert (plan.websocket, names_of(plan)) == (None, ["room"])


def test_a_bound_method_is_read_without_its_self() -> None:
    class Rooms:
        async def enter(self, websocket: WebSocket, room: int) -> None:
            """Do nothing."""

    assert convert(Rooms().enter, path={"room": "3"}) == {"room": 3}


def test_a_method_that_is_not_bound_need_not_take_the_connection() -> None:
    class Rooms:
        async def enter(self, room: int) -> None:
            """Do nothing."""

        async def leave(self, websocket: WebSocket, room: int) -> None:
            """Do nothing."""

    enter = plan_parameters(Rooms.enter, ("room",), skip_first=True).handler
    leave = plan_parameters(Rooms.leave, ("room",), skip_first=True).handler
    assert (names_of(enter), enter.websocket) == (["room"], None)
    assert (names_of(leave), leave.websocket) == (["room"], "websocket")


def test_a_decorated_handler_is_read_through_its_decorator() -> None:
    async def inner(websocket: WebSocket, room: int) -> None:
        """Do nothing."""

    @functools.wraps(inner)
    async def outer(*args: Any, **kwargs: Any) -> None:
        await inner(*args, **kwargs)

    assert convert(outer, path={"room": "3"}) == {"room": 3}


def test_a_path_parameter_that_nobody_takes_is_refused() -> None:
    assert "the path has the parameter 'room'" in refusal_of(with_annotation(int), "room")


def test_signatures_that_cannot_be_filled_are_refused() -> None:
    async def positional(websocket: WebSocket, *args: str) -> None:
        """Do nothing."""

    async def positional_only(websocket: WebSocket, room: str, /) -> None:
        """Do nothing."""

    async def connection(room: str, websocket: WebSocket, /) -> None:
        """Do nothing."""

    assert "*args" in refusal_of(positional)
    assert "'room' is positional-only" in refusal_of(positional_only)
    assert "'websocket' is positional-only" in refusal_of(connection)


# ── dependencies ─────────────────────────────────────────────────────────────────────────────────────────


def get_settings() -> str:
    return "settings"


def get_database(settings: Annotated[str, Depends(get_settings)]) -> str:
    return "database"


def get_user(
    websocket: WebSocket, room: str, database: Annotated[str, Depends(get_database)], token: str = ""
) -> str:
    return "user"


async def handler(
    websocket: WebSocket,
    user: Annotated[str, Depends(get_user)],
    settings: str = Depends(get_settings),
) -> None:
    """Do nothing."""


def test_a_dependency_runs_once_and_after_what_it_needs() -> None:
    plan = plan_parameters(handler, ("room",))
    assert calls_of(plan) == [get_settings, get_database, get_user]
    assert plan.handler.needs == (("user", 2), ("settings", 0))
    user = plan.dependencies[2]
    assert (user.arguments.websocket, user.arguments.needs) == ("websocket", (("database", 1),))
    sources = [entry.source for entry in user.arguments.parameters if isinstance(entry, Parameter)]
    assert sources == ["path", "query"]


def test_without_cache_it_runs_for_each_who_needs_it() -> None:
    async def fresh(
        websocket: WebSocket,
        a: Annotated[str, Depends(get_settings, use_cache=False)],
        b: Annotated[str, Depends(get_settings, use_cache=False)],
        c: Annotated[str, Depends(get_settings)],
        d: Annotated[str, Depends(get_settings)],
    ) -> None:
        """Do nothing."""

    plan = plan_parameters(fresh, ())
    assert calls_of(plan) == [get_settings] * 3
    assert [place for _, place in plan.handler.needs] == [0, 1, 2, 2]


def test_dependencies_without_a_value_run_first() -> None:
    plan = plan_parameters(handler, ("room",), dependencies=[Dependency(get_database, use_cache=True)])
    assert calls_of(plan) == [get_settings, get_database, get_user]
    assert calls_of(plan_parameters(with_annotation(int), (), dependencies=plan_dependencies())) == [
        get_settings
    ]


def plan_dependencies() -> list[Any]:
    return [Depends(get_settings)]


def test_a_dependency_may_take_the_path_parameter() -> None:
    async def nobody(websocket: WebSocket, database: Annotated[str, Depends(get_database)]) -> None:
        """Do nothing."""

    assert plan_parameters(handler, ("room",)).handler.extra == ()
    assert "which the handler does not take" in refusal_of(nobody, "room")


def test_a_dependency_that_is_not_hashable_is_shared_too() -> None:
    @dataclass
    class Limit:
        number: int

        def __call__(self, size: int) -> int:
            return min(size, self.number)

    limit = Limit(5)

    async def limited(
        websocket: WebSocket, a: Annotated[int, Depends(limit)], b: Annotated[int, Depends(limit)]
    ) -> None:
        """Do nothing."""

    limited.__annotations__ |= {"a": Annotated[int, Depends(limit)], "b": Annotated[int, Depends(limit)]}
    assert calls_of(plan_parameters(limited, ())) == [limit]


def test_without_a_function_it_is_the_class_of_the_annotation() -> None:
    plan = plan_parameters(with_annotation(Annotated[Pages, Depends()]), ())
    assert calls_of(plan) == [Pages]
    assert calls_of(plan_parameters(with_annotation(Pages, Depends()), ())) == [Pages]


class Pages:
    def __init__(self, page: int = 1) -> None:
        self.page = page


def test_an_override_is_planned_in_place_of_a_dependency() -> None:
    def fake(seed: int) -> str:
        return "fake"

    plan = plan_parameters(handler, ("room",), overrides={get_database: fake})
    assert calls_of(plan) == [fake, get_user, get_settings]
    assert names_of(plan.dependencies[0].arguments) == ["seed"]


def test_an_override_need_not_take_the_path_parameter() -> None:
    plan = plan_parameters(handler, ("room",), overrides={get_user: lambda: "fake"})
    assert plan.handler.extra == ()


def circular_a(b: Annotated[int, Depends(lambda b: b)]) -> int:
    return b


def circular_b(a: Annotated[int, Depends(circular_a)]) -> int:
    return a


circular_a.__annotations__["b"] = Annotated[int, Depends(circular_b)]


def test_a_circle_is_refused() -> None:
    with pytest.raises(InvalidHandler, match=r"circle: .*handler -> circular_a -> circular_b -> circular_a"):
        plan_parameters(with_annotation(Annotated[int, Depends(circular_a)]), ())


def test_an_error_in_a_dependency_names_it_and_who_needs_it() -> None:
    def wrong(value: dict[str, int]) -> int:
        return 1

    def between(it: Annotated[int, Depends(wrong)]) -> int:
        return it

    between.__annotations__["it"] = Annotated[int, Depends(wrong)]
    needing = with_annotation(Annotated[int, Depends(between)])
    with pytest.raises(InvalidHandler) as caught:
        plan_parameters(needing, ())
    text = str(caught.value)
    assert text.startswith(f"{locate(wrong)}: parameter 'value' has the annotation dict[str, int]; ")
    assert text.endswith(f"; a dependency of {locate(between)}; a dependency of {locate(needing)}")


def test_a_dependency_that_cannot_be_filled_is_refused() -> None:
    def positional(*args: int) -> int:
        return 1

    def connection(websocket: WebSocket, /) -> int:
        return 1

    for call, text in ((positional, "*args"), (connection, "positional-only"), (dict, "cannot be read")):
        with pytest.raises(InvalidHandler) as caught:
            plan_parameters(with_annotation(Annotated[int, Depends(call)]), ())
        assert text in str(caught.value)


def test_a_dependency_cannot_take_what_blocks() -> None:
    def look(websocket: SyncWebSocket) -> None:
        """Do nothing."""

    def handler(websocket: SyncWebSocket, seen: Any = Depends(look)) -> None:
        """Do nothing."""

    with pytest.raises(InvalidHandler, match=r"look.*a dependency takes the WebSocket.*handler"):
        plan_parameters(handler, ())
