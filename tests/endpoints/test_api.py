from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from django_bolt import BoltAPI, Depends, EndpointCollision, InvalidHandler, InvalidPath, WebSocket
from django_bolt.auth import AllowAny, IsAuthenticated, JWTAuthentication


async def echo(websocket: WebSocket) -> None:
    """Do nothing."""


async def room(websocket: WebSocket, room_id: int, page: int = 1) -> None:
    """Do nothing."""


def test_the_decorator_returns_the_handler_unchanged() -> None:
    assert BoltAPI().websocket("/ws/echo")(echo) is echo


def test_an_endpoint_knows_its_handler() -> None:
    api = BoltAPI()
    api.websocket("/room/{room_id}", name="a room")(room)
    [endpoint] = api.endpoints
    assert (endpoint.path, endpoint.handler, endpoint.name) == ("/room/{room_id}", room, "a room")
    assert [(entry.name, entry.source) for entry in endpoint.parameters.handler.parameters] == [
        ("room_id", "path"),
        ("page", "query"),
    ]
    assert endpoint.location == f"{__name__}.room ({__file__}:{room.__code__.co_firstlineno})"


def test_the_name_is_by_default_that_of_the_function() -> None:
    api = BoltAPI()
    api.websocket("/")(echo)
    assert api.endpoints[0].name == "echo"


def test_one_handler_may_serve_several_paths() -> None:
    api = BoltAPI()
    api.websocket("/room/{room_id}")(api.websocket("/room")(room))
    assert [endpoint.path for endpoint in api.endpoints] == ["/room", "/room/{room_id}"]
    assert api.endpoints[0].parameters.handler.parameters[0].source == "query"


def test_a_prefix_is_put_before_every_path() -> None:
    api = BoltAPI(prefix="/{tenant}/chat")

    async def handler(websocket: WebSocket, tenant: str) -> None:
        """Do nothing."""

    api.websocket("/ws")(handler)
    assert api.endpoints[0].path == "/{tenant}/chat/ws"
    assert api.endpoints[0].parameters.handler.parameters[0].source == "path"
    assert repr(api) == "<BoltAPI /{tenant}/chat with 1 endpoints>"


@pytest.mark.parametrize("prefix", ["chat", "/chat/", "/"])
def test_a_prefix_that_makes_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidPath, match="Prefix"):
        BoltAPI(prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_a_path_without_a_slash_is_refused_and_names_the_handler(prefix: str) -> None:
    with pytest.raises(
        InvalidPath, match=r"Path 'ws' of .*test_api\.echo \(.*test_api\.py:\d+\): it must start"
    ):
        BoltAPI(prefix=prefix).websocket("ws")(echo)


@pytest.mark.parametrize(("path", "name"), [(echo, "echo"), (None, "NoneType")])
def test_a_decorator_without_a_path_is_refused_at_once(path: Any, name: str) -> None:
    with pytest.raises(InvalidPath, match=rf'takes a path, as in @api.websocket\("/ws/chat"\), not {name}'):
        BoltAPI().websocket(path)


def test_authentication_and_guards_are_taken_as_instances_or_classes() -> None:
    api = BoltAPI()
    jwt = JWTAuthentication()
    api.websocket("/", auth=[jwt, JWTAuthentication], guards=[IsAuthenticated, AllowAny()])(echo)
    [endpoint] = api.endpoints
    assert endpoint.auth is not None
    assert endpoint.guards is not None
    assert endpoint.auth[0] is jwt
    assert [type(entry) for entry in endpoint.auth] == [JWTAuthentication, JWTAuthentication]
    assert [type(entry) for entry in endpoint.guards] == [IsAuthenticated, AllowAny]


def test_an_endpoint_takes_those_of_the_api_unless_it_names_its_own() -> None:
    api = BoltAPI(auth=[JWTAuthentication], guards=[IsAuthenticated])
    api.websocket("/a")(echo)
    api.websocket("/b", auth=[], guards=[])(echo)
    inherited, own = api.endpoints
    assert inherited.auth is not None
    assert [type(entry) for entry in inherited.auth] == [JWTAuthentication]
    assert (own.auth, own.guards) == ((), ())


def test_without_any_the_settings_decide() -> None:
    api = BoltAPI()
    api.websocket("/")(echo)
    assert (api.endpoints[0].auth, api.endpoints[0].guards) == (None, None)


@pytest.mark.parametrize("keyword", ["auth", "guards"])
@pytest.mark.parametrize("entry", ["text", object(), int])
def test_what_is_neither_authentication_nor_guard_is_refused(keyword: str, entry: Any) -> None:
    with pytest.raises(TypeError, match="is no Base"):
        BoltAPI(**{keyword: [entry]})
    with pytest.raises(TypeError, match="is no Base"):
        BoltAPI().websocket("/", **{keyword: [entry]})


def test_what_cannot_be_a_handler_is_refused() -> None:
    with pytest.raises(InvalidHandler, match="must be"):
        BoltAPI().websocket("/")(functools.partial(echo))


def get_value() -> int:
    return 5


def test_dependencies_of_the_api_come_before_those_of_the_endpoint() -> None:
    def other() -> None:
        """Do nothing."""

    api = BoltAPI(dependencies=[Depends(other)])
    api.websocket("/", dependencies=[Depends(get_value)])(echo)
    calls = [dependency.call for dependency in api.endpoints[0].parameters.dependencies]
    assert calls == [other, get_value]


def test_a_dependency_may_take_a_parameter_of_the_prefix() -> None:
    def check(tenant: int) -> None:
        """Do nothing."""

    api = BoltAPI(prefix="/{tenant}", dependencies=[Depends(check)])
    api.websocket("/ws")(echo)
    assert api.endpoints[0].parameters.dependencies[0].arguments.parameters[0].source == "path"


def test_what_is_no_dependency_is_refused() -> None:
    with pytest.raises(InvalidHandler, match="dependencies take"):
        BoltAPI(dependencies=[get_value])
    with pytest.raises(InvalidHandler, match="dependencies take"):
        BoltAPI().websocket("/", dependencies=[get_value])


def test_a_handler_may_take_the_connection_anywhere() -> None:
    async def late(room_id: str, socket: WebSocket) -> None:
        """Do nothing."""

    api = BoltAPI()
    assert api.websocket("/{room_id}")(late) is late
    assert api.endpoints[0].parameters.handler.websocket == "socket"


def test_a_class_is_an_endpoint_and_is_returned_unchanged() -> None:
    class Room:
        async def on_connect(self, room_id: int) -> None:
            """Do nothing."""

    api = BoltAPI()
    assert api.websocket("/room/{room_id}")(Room) is Room
    [endpoint] = api.endpoints
    assert endpoint.name == "Room"
    _, line = inspect.findsource(Room)
    assert endpoint.location == f"{__name__}.{Room.__qualname__} ({__file__}:{line + 1})"


def test_two_endpoints_on_one_path_are_refused_at_once_and_both_named() -> None:
    api = BoltAPI()
    api.websocket("/room/{room_id}")(room)

    async def other(websocket: WebSocket, name: str) -> None:
        """Do nothing."""

    with pytest.raises(EndpointCollision, match=r"test_api\.room \(.*other \("):
        api.websocket("/room/{name}")(other)
    assert len(api.endpoints) == 1
