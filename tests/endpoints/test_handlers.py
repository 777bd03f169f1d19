from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import django_bolt
from django_bolt import BoltAPI, InvalidHandler, SyncWebSocket, WebSocket
from django_bolt.endpoints.handlers import AdaptedHandler, adapt_handler, connection_first
from django_bolt.endpoints.parameters import plan_parameters


async def echo(websocket: WebSocket) -> None:
    """Do nothing."""


def sync_generator(websocket: WebSocket) -> Iterator[int]:
    """Yield nothing of use."""
    yield 1


async def generator(websocket: WebSocket) -> AsyncIterator[int]:
    """Yield nothing of use."""
    yield 1


def plainly(function: Any) -> Any:
    """Wrap in a plain function that returns what the other does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Handler:
    async def __call__(self, websocket: WebSocket) -> None:
        """Do nothing."""

    async def method(self, websocket: WebSocket, room: str) -> Any:
        """Return what it was given."""
        return self, websocket, room


def test_a_coroutine_function_is_served_as_it_is() -> None:
    assert adapt_handler(echo) == AdaptedHandler(echo, echo)
    method = Handler().method
    assert adapt_handler(method).call == method


@pytest.mark.parametrize(
    ("handler", "place"),
    [
        (sync_generator, "sync_generator"),
        (generator, "generator"),
        (plainly(sync_generator), "sync_generator"),
        (plainly(generator), "generator"),
        (Handler(), "Handler.__call__"),
        (functools.partial(echo), "echo"),
    ],
)
def test_only_a_function_can_be_a_handler(handler: Any, place: str) -> None:
    with pytest.raises(
        TypeError, match="must be an 'async def' function, a 'def' function or a class"
    ) as caught:
        adapt_handler(handler)
    assert isinstance(caught.value, InvalidHandler)
    assert place in str(caught.value)


def test_a_coroutine_function_behind_a_plain_decorator_is_one() -> None:
    api = BoltAPI()
    decorated = plainly(Handler().method)
    assert adapt_handler(decorated) == AdaptedHandler(decorated, decorated)
    with pytest.raises(InvalidHandler, match="'async def' handler is a WebSocket"):
        api.websocket("/blocking")(plainly(blocking))


def test_a_class_is_served_by_its_methods() -> None:
    class Room:
        async def on_connect(self, room: str) -> None:
            """Do nothing."""

    adapted = adapt_handler(Room)
    assert adapted.signature is Room.on_connect
    assert adapted.skip_first
    with pytest.raises(InvalidHandler, match=r"Handler \(.*test_handlers\.py:\d+\): a class endpoint needs"):
        adapt_handler(Handler)


async def test_the_connection_is_passed_where_the_handler_takes_it() -> None:
    async def first(socket: Any, room: str) -> Any:
        return socket, room

    async def later(room: str, socket: WebSocket) -> Any:
        return socket, room

    for handler in (first, later):
        adapted = adapt_handler(handler)
        serve = connection_first(adapted, plan_parameters(handler, ("room",)))
        assert await serve("connection", room="5") == ("connection", "5")


async def test_what_serves_a_method_is_given_the_connection_and_the_arguments_of_the_method() -> None:
    async def serve(websocket: Any, /, **arguments: Any) -> Any:
        return websocket, arguments

    adapted = AdaptedHandler(serve, Handler.method, skip_first=True)
    plan = plan_parameters(Handler.method, ("room",), skip_first=True)
    assert await connection_first(adapted, plan)("connection", room="5") == (
        "connection",
        {"websocket": "connection", "room": "5"},
    )


async def blocking(websocket: SyncWebSocket) -> None:
    """Do nothing."""


async def blocking_by_module(websocket: django_bolt.SyncWebSocket) -> None:
    """Do nothing."""


@pytest.mark.parametrize("handler", [blocking, blocking_by_module])
def test_a_coroutine_cannot_take_what_blocks(handler: Any) -> None:
    with pytest.raises(
        InvalidHandler, match=r"blocking.*'websocket' of an 'async def' handler is a WebSocket"
    ):
        adapt_handler(handler)


def test_a_plain_function_may_take_either_and_it_may_go_anywhere() -> None:
    def first(socket, page: int) -> None:  # type: ignore[no-untyped-def]
        """Do nothing."""

    def middle(page: int, socket: WebSocket, name: str) -> None:
        """Do nothing."""

    def last(page: int, *, socket: SyncWebSocket) -> None:
        """Do nothing."""

    api = BoltAPI()
    for handler in (first, middle, last):
        assert api.websocket(f"/{handler.__name__}")(handler) is handler
    assert [endpoint.parameters.handler.websocket for endpoint in api.endpoints] == [None, "socket", "socket"]
    assert [endpoint.name for endpoint in api.endpoints] == ["first", "middle", "last"]
