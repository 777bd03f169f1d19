"""The decorator returns what it was given; parameters have the types of their annotations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, assert_type

from django.http import QueryDict

from django_bolt import BoltAPI, Cookie, Depends, Header, Query, WebSocket, WebSocketState

api = BoltAPI()


class User:
    name: str = "Ada"


async def current_user(websocket: WebSocket) -> User:
    return User()


async def transaction() -> AsyncIterator[int]:
    yield 1


@api.websocket("/room/{room_id}", dependencies=[Depends(transaction)])
async def room(
    websocket: WebSocket,
    room_id: int,
    user: Annotated[User, Depends(current_user)],
    number: Annotated[int, Depends(transaction)],
    page: Annotated[int, Query(ge=1)] = 1,
    agent: Annotated[str | None, Header(alias="User-Agent")] = None,
    *,
    theme: Annotated[str, Cookie()] = "light",
) -> None:
    assert_type(room_id, int)
    assert_type(user, User)
    assert_type(user.name, str)
    assert_type(number, int)
    assert_type(page, int)
    assert_type(agent, str | None)
    assert_type(theme, str)


async def call(websocket: WebSocket) -> None:
    assert_type(await room(websocket, 1, User(), 2), None)
    await room(websocket, "one", User(), 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def connection(websocket: WebSocket) -> None:
    assert_type(websocket.state, WebSocketState)
    assert_type(websocket.path_params, dict[str, str])
    assert_type(websocket.query_params, QueryDict)
    assert_type(websocket.headers["x-a"], str)
    assert_type(websocket.cookies, dict[str, str])
    assert_type(websocket.context, dict[str, Any])
    assert_type(websocket.client, tuple[str, int] | None)
    assert_type(websocket.close_code, int | None)


api.websocket("/")(1)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
