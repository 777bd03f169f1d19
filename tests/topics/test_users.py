from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User

from django_bolt import (
    BoltAPI,
    WebSocket,
    adisconnect_user,
    apublish_to_user,
    disconnect_user,
    publish_to_user,
)
from django_bolt.auth import AuthResult, BaseAuthentication
from django_bolt.testing import TestClient, WebSocketTestSession
from django_bolt.topics.names import check_topic, is_pattern
from django_bolt.topics.users import user_topic


def connect(client: TestClient, user_id: int) -> WebSocketTestSession:
    session = client.websocket_connect(f"/user/{user_id}")
    assert session.receive_json() == []  # what is the library's own is not shown
    return session


def test_the_topic_of_a_user() -> None:
    assert user_topic(User(pk=7)) == user_topic(7) == user_topic("7") == "$user:7"


@pytest.mark.parametrize("name", ["*", "4*", "a\nb", "\ud800", "x" * 16_000, "zażółć" * 100])
def test_whatever_a_user_is_named_by_its_topic_is_no_pattern(name: str) -> None:
    topic = user_topic(name)
    assert not is_pattern(check_topic(topic, reserved=True))
    assert topic != user_topic(name + "!") != user_topic(name + "%21")


@pytest.mark.parametrize(
    "user", [None, AnonymousUser(), User(username="unsaved")], ids=["None", "anonymous", "unsaved"]
)
def test_a_user_without_a_primary_key_is_nobody(user: Any) -> None:
    for call in (publish_to_user, disconnect_user):
        with pytest.raises(ValueError, match="has no primary key"):
            call(user, 4001)


class ByQuery(BaseAuthentication):
    """Knows everybody by the name that they give."""

    async def authenticate(self, websocket: WebSocket) -> AuthResult:
        return AuthResult(websocket.query_params["name"])


def test_a_user_named_as_a_pattern_does_not_get_what_is_for_others() -> None:
    api = BoltAPI()

    @api.websocket("/ws", auth=[ByQuery()])
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    with TestClient(api) as client, client.websocket_connect("/ws?name=*") as session:
        assert publish_to_user("42", "for 42").receivers == 0
        assert publish_to_user("*", "for *").receivers == 1
        assert session.receive() == "for *"


def test_every_connection_of_the_user_gets_it(client: TestClient) -> None:
    first, second, other = connect(client, 1), connect(client, 1), connect(client, 2)
    assert publish_to_user(User(pk=1), {"for": 1}).receivers == 2
    assert publish_to_user(2, "for two").receivers == 1
    assert first.receive_json() == second.receive_json() == {"for": 1}
    assert other.receive() == "for two"


def test_a_client_cannot_get_away_from_its_user() -> None:
    api = BoltAPI()

    @api.websocket("/ws", auth=[ByQuery()])
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for name in websocket.iter_text():
            await websocket.unsubscribe(name)

    with TestClient(api) as client, client.websocket_connect("/ws?name=ada") as session:
        session.send_text(user_topic("ada"))
        assert session.wait_closed() == 1008
    with TestClient(api) as client, client.websocket_connect("/ws?name=ada") as session:
        session.send_text("never subscribed")
        assert publish_to_user("ada", "x").receivers == 1
        assert disconnect_user("ada", 4001) == 1
        assert [session.receive(), session.wait_closed()] == ["x", 4001]


async def test_from_a_coroutine(client: TestClient) -> None:
    assert (await apublish_to_user(1, "x")).receivers == 0
    assert await adisconnect_user(1) == 0


def test_disconnecting_closes_every_connection_of_the_user(client: TestClient) -> None:
    first, second, other = connect(client, 1), connect(client, 1), connect(client, 2)
    assert disconnect_user(1, 4001, "elsewhere") == 2
    assert [first.wait_closed(), second.wait_closed()] == [4001, 4001]
    assert first.close_reason == "elsewhere"
    publish_to_user(2, "still here")
    assert other.receive() == "still here"


def test_a_code_that_cannot_be_sent(client: TestClient) -> None:
    with pytest.raises(ValueError, match="1006"):
        disconnect_user(1, 1006)
