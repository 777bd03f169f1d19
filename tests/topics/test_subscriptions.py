from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, InvalidTopic, TooManySubscriptions, WebSocket, publish
from django_bolt.auth import AuthResult, BaseAuthentication
from django_bolt.testing import TestClient
from django_bolt.topics.hub import running_hubs


class Outcome:
    """What an endpoint under test found."""

    value: Any = None


def run(body: Callable[[WebSocket], Any]) -> Any:
    """Run a body as the handler of a connection, and return what it returns."""
    api, outcome = BoltAPI(), Outcome()

    @api.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        outcome.value = await body(websocket)

    with TestClient(api) as client, client.websocket_connect("/ws") as session:
        assert session.wait_closed() == 1000
    return outcome.value


def test_the_end_of_the_block_ends_what_it_began() -> None:
    async def body(websocket: WebSocket) -> list[tuple[str, ...]]:
        seen = []
        async with websocket.subscribe("a", "b") as outer:
            assert outer.topics == ("a", "b")
            seen.append(websocket.topics)
            async with websocket.subscribe("b", patterns=["c*"]):
                seen.append(websocket.topics)
            seen.append(websocket.topics)
        seen.append(websocket.topics)
        return seen

    assert run(body) == [("a", "b"), ("a", "b", "c*"), ("a", "b"), ()]


def test_it_takes_effect_at_the_call() -> None:
    async def body(websocket: WebSocket) -> tuple[str, ...]:
        websocket.subscribe("a")
        return websocket.topics

    assert run(body) == ("a",)


def test_unsubscribing() -> None:
    async def body(websocket: WebSocket) -> list[tuple[str, ...]]:
        subscription = websocket.subscribe("a", "b", "c", "d")
        await subscription
        await websocket.unsubscribe("a", "never")
        seen = [websocket.topics]
        await websocket.unsubscribe()
        seen.append(websocket.topics)
        subscription.unsubscribe()
        return seen

    assert run(body) == [("b", "c", "d"), ()]


@pytest.mark.parametrize(
    ("topics", "patterns"),
    [(["a*"], []), (["$user:1"], []), ([""], []), ([], ["a"]), ([], ["a*b*"]), (["fine", "bad*"], [])],
)
def test_bad_names_change_nothing(topics: list[str], patterns: list[str]) -> None:
    async def body(websocket: WebSocket) -> tuple[str, ...]:
        with pytest.raises(InvalidTopic):
            websocket.subscribe(*topics, patterns=patterns)
        return websocket.topics

    assert run(body) == ()


@pytest.mark.parametrize("name", ["$user:1", "a*b", "", 5])
def test_bad_names_unsubscribe_nothing(name: Any) -> None:
    async def body(websocket: WebSocket) -> tuple[str, ...]:
        await websocket.subscribe("a")
        with pytest.raises(InvalidTopic):
            await websocket.unsubscribe("a", name)
        return websocket.topics

    assert run(body) == ("a",)


@override_settings(BOLT={"MAX_SUBSCRIPTIONS": 3})
def test_a_connection_has_so_many_topics_and_no_more() -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.subscribe("a", patterns=["b*"])
        await websocket.subscribe("a", "c")  # "a" is no new one
        for more in (["d"], ["a", "d"], ["d", "e", "f", "g"]):
            with pytest.raises(TooManySubscriptions, match="MAX_SUBSCRIPTIONS") as raised:
                websocket.subscribe(*more)
            assert raised.value.limit == 3
            assert websocket.topics == ("a", "b*", "c")
        await websocket.unsubscribe("c")
        await websocket.subscribe("d")

    run(body)


@override_settings(BOLT={"MAX_SUBSCRIPTIONS": None})
def test_there_may_be_no_limit() -> None:
    async def body(websocket: WebSocket) -> int:
        await websocket.subscribe(*(str(number) for number in range(2000)))
        return len(websocket.topics)

    assert run(body) == 2000


@override_settings(BOLT={"MAX_SUBSCRIPTIONS": 1})
def test_a_client_that_wants_too_much_is_closed() -> None:
    api = BoltAPI()

    @api.websocket("/ws/{topic}", subscribe="{topic}", auth=[Known()])
    async def handler(websocket: WebSocket, topic: str) -> None:
        await websocket.accept()  # with the topic of its user, which does not count
        async for name in websocket.iter_text():
            await websocket.subscribe(name)

    with TestClient(api) as client, client.websocket_connect("/ws/a") as session:
        session.send_text("a")
        session.send_text("b")
        assert (session.wait_closed(), session.close_reason) == (1008, "too many subscriptions")


class Known(BaseAuthentication):
    """Knows everybody, as one."""

    async def authenticate(self, websocket: WebSocket) -> AuthResult:
        return AuthResult(1)


def test_no_topic_at_all() -> None:
    async def body(websocket: WebSocket) -> None:
        with pytest.raises(TypeError, match="at least one topic"):
            websocket.subscribe()

    run(body)


async def coroutine_function(message: str | bytes) -> bool:
    return False


class CoroutineFunction:
    async def __call__(self, message: str | bytes) -> bool:
        return False


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (coroutine_function, "is a coroutine function"),
        (partial(coroutine_function), "is a coroutine function"),
        (CoroutineFunction(), "is a coroutine function"),
        ("text", "must be a function, not 'text'"),
    ],
    ids=["function", "partial", "object", "text"],
)
@pytest.mark.parametrize("option", ["filter", "transform"])
def test_what_cannot_be_a_filter(function: Any, reason: str, option: str) -> None:
    async def body(websocket: WebSocket) -> tuple[str, ...]:
        with pytest.raises(TypeError, match=f"{option} {reason}"):
            websocket.subscribe("a", **{option: function})
        return websocket.topics

    assert run(body) == ()


@pytest.mark.parametrize(("kind", "sent"), [(bytearray, b"x"), (memoryview, b"x"), (list, "[120]")])
def test_a_transformation_returns_what_could_be_published(kind: type, sent: str | bytes) -> None:
    api = BoltAPI()

    @api.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.subscribe("a", transform=kind)
        publish("a", b"x")
        await websocket.receive()

    with TestClient(api) as client, client.websocket_connect("/ws") as session:
        assert session.receive() == sent


def test_what_a_filter_raises_is_logged_and_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    api = BoltAPI()

    def fail(message: str | bytes) -> bool:
        raise LookupError("in the filter")

    @api.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.subscribe("a", filter=fail)
        await websocket.subscribe("b")
        publish("a", "x")
        publish("b", "y")
        await websocket.receive()

    with TestClient(api) as client, client.websocket_connect("/ws") as session:
        assert session.receive() == "y"
    assert "in the filter" in caplog.text
    assert "x" not in [record.getMessage() for record in caplog.records]


def test_what_a_transformation_returns_cannot_keep_others_from_their_messages() -> None:
    api = BoltAPI()

    @api.websocket("/ws")
    async def handler(websocket: WebSocket, transforms: bool = False) -> None:
        await websocket.accept()
        await websocket.subscribe("a", transform=json.loads if transforms else None)
        await websocket.send_text("subscribed")
        await websocket.receive()

    with TestClient(api) as client:
        first, second = client.websocket_connect("/ws?transforms=1"), client.websocket_connect("/ws")
        assert first.receive() == second.receive() == "subscribed"
        assert publish("a", '"\\ud800"').receivers == 1
        assert publish("a", '"ż"').receivers == 2
        assert [first.receive(), second.receive(), second.receive()] == ["ż", '"\\ud800"', '"ż"']


def test_a_name_that_the_broker_refuses_is_not_subscribed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(websocket: WebSocket) -> tuple[str, ...]:
        (hub,) = running_hubs()

        def refuse(name: str) -> None:
            raise InvalidTopic(name, "this broker has no patterns")

        with monkeypatch.context() as patch:
            patch.setattr(hub.broker, "subscribe", refuse)
            with pytest.raises(InvalidTopic, match="no patterns"):
                websocket.subscribe(patterns=["a*"])
        await asyncio.sleep(0)
        return websocket.topics

    assert run(body) == ()
