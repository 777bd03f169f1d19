from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from django_bolt import adisconnect_user, apublish_to_user, disconnect_user, publish_to_user
from django_bolt.testing import TestClient, WebSocketTestSession
from django_bolt.topics.users import user_topic


def connect(client: TestClient, user_id: int) -> WebSocketTestSession:
    session = client.websocket_connect(f"/user/{user_id}")
    assert session.receive_json() == []  # what is the library's own is not shown
    return session


def test_the_topic_of_a_user() -> None:
    assert user_topic(User(pk=7)) == user_topic(7) == user_topic("7") == "$user:7"


def test_every_connection_of_the_user_gets_it(client: TestClient) -> None:
    first, second, other = connect(client, 1), connect(client, 1), connect(client, 2)
    assert publish_to_user(User(pk=1), {"for": 1}).receivers == 2
    assert publish_to_user(2, "for two").receivers == 1
    assert first.receive_json() == second.receive_json() == {"for": 1}
    assert other.receive() == "for two"


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
