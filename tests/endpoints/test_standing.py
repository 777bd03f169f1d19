from __future__ import annotations

from typing import Any

import pytest

from django_bolt import BoltAPI, InvalidHandler, WebSocket, publish
from django_bolt.endpoints.standing import plan_topics
from django_bolt.testing import HandshakeRejected, TestClient

api = BoltAPI(prefix="/ws/{site}")


@api.websocket("/room/{room_id}", subscribe=["{site}/room:{room_id}", "news.*"])
async def room(websocket: WebSocket, **path: Any) -> None:
    await websocket.accept()
    await websocket.send_json(websocket.topics)
    await websocket.receive()


def test_a_connection_is_subscribed_from_accept_on() -> None:
    with TestClient(api) as client, client.websocket_connect("/ws/a/room/1") as session:
        assert session.receive_json() == ["a/room:1", "news.*"]
        publish("a/room:1", "to the room")
        publish("b/room:1", "to another site")
        publish("news.today", "news")
        assert [session.receive(), session.receive()] == ["to the room", "news"]


@pytest.mark.parametrize("room_id", ["*", "x" * 200, "%00"])
def test_what_cannot_be_a_topic_is_refused(room_id: str, caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(api) as client, pytest.raises(HandshakeRejected) as rejection:
        client.websocket_connect(f"/ws/a/room/{room_id}")
    assert rejection.value.status == 400
    assert "Traceback" not in caplog.text


def test_one_name_may_stand_by_itself() -> None:
    topics = plan_topics("room:{room_id}", ("room_id",), "here")
    assert topics.fill({"room_id": "{room_id}"}) == (["room:{room_id}"], [])
    assert not plan_topics((), (), "here")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("room:{id}", "{id} is no parameter of the path, which has: room_id"),
        ("room:{}", "{} is no parameter"),
        ("room:{room_id.__class__}", "{room_id.__class__} is no parameter"),
        ("room:{room_id", "expected '}'"),
        ("a*b", "may only be the last"),
        (["fine", "$user:{room_id}"], "reserved"),
        ([""], "characters"),
        ([7], "str"),
    ],
)
def test_a_mistake_is_found_at_registration(names: Any, reason: str) -> None:
    with pytest.raises(InvalidHandler, match="here") as error:
        plan_topics(names, ("room_id",), "here")
    assert reason in str(error.value)
