from __future__ import annotations

import asyncio
import threading
from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.db.models import TextChoices
from django.test import override_settings
from django.utils.functional import Promise
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from django_bolt import BrokerUnavailable, InvalidTopic, PublicationTooLarge, Published, apublish, publish
from django_bolt.testing import TestClient, WebSocketTestSession
from django_bolt.topics.hub import running_hubs
from django_bolt.topics.publication import Publication


@contextmanager
def subscribed(client: TestClient, topic: str) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(f"/ws/{topic}") as session:
        assert session.receive_text() == "subscribed"
        yield session


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("text", "text"),
        ("", ""),
        ("Grüße 🎉", "Grüße 🎉"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (None, "null"),
        (gettext_lazy("Save"), '"Save"'),
    ],
)
def test_what_may_be_published(client: TestClient, message: Any, expected: str | bytes) -> None:
    with subscribed(client, "t") as session:
        assert publish("t", message) == Published(1, True)
        assert session.receive() == expected


def test_lazy_text_is_json() -> None:
    assert isinstance(gettext_lazy("Save"), Promise)


def test_what_may_not_be_published(client: TestClient) -> None:
    with pytest.raises(TypeError, match="UserDict cannot be sent as JSON"):
        publish("t", UserDict())
    with pytest.raises(UnicodeEncodeError):
        publish("t", "\ud800")


@pytest.mark.parametrize("topic", ["", "a*", "$user:1", "a\nb", "x" * 201, 7])
def test_bad_topics(topic: Any) -> None:
    with pytest.raises(InvalidTopic):
        publish(topic, "x")


def test_too_large_is_refused_before_anybody_gets_it(client: TestClient) -> None:
    with override_settings(BOLT={"MAX_PUBLICATION_SIZE": 10}), subscribed(client, "t") as session:
        with pytest.raises(PublicationTooLarge):
            publish("t", "x" * 11)
        publish("t", "x" * 10)
        assert session.receive() == "x" * 10


@pytest.mark.parametrize("exclude", [5, "me", SimpleNamespace(id=5)])
def test_only_a_connection_can_be_left_out(client: TestClient, exclude: Any) -> None:
    with subscribed(client, "t") as session:
        with pytest.raises(TypeError, match=f"exclude must be a connection.*not {type(exclude).__name__}"):
            publish("t", "nobody gets it", exclude=exclude)
        publish("t", "next")
        assert session.receive() == "next"


def test_a_database_is_named_for_a_commit_only(client: TestClient) -> None:
    with subscribed(client, "t") as session:
        with pytest.raises(TypeError, match="goes with on_commit=True"):
            publish("t", "nobody gets it", using="default")
        publish("t", "next")
        assert session.receive() == "next"


def test_the_name_of_a_topic_may_be_of_any_class_of_text(client: TestClient) -> None:
    class Feed(TextChoices):
        NEWS = "news"

    with subscribed(client, "news") as session:
        assert publish(Feed.NEWS, "one").receivers == 1
        assert asyncio.run(apublish(mark_safe("news"), "two")).receivers == 1
        assert [session.receive(), session.receive()] == ["one", "two"]


def test_a_coroutine_has_no_commit_to_wait_for(transactional_db: None) -> None:
    async def main() -> None:
        publish("t", "x", on_commit=True)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(main())


def test_without_a_server() -> None:
    assert publish("t", "x") == Published(0, True)
    assert asyncio.run(apublish("t", "x")) == Published(0, True)


async def test_from_a_coroutine_on_another_loop(client: TestClient) -> None:
    session = await asyncio.to_thread(client.websocket_connect, "/ws/t")
    assert await asyncio.to_thread(session.receive_text) == "subscribed"
    assert publish("t", "one") == Published(1, None)
    assert await apublish("t", "two") == Published(1, True)
    assert [await asyncio.to_thread(session.receive) for _ in range(2)] == ["one", "two"]


def test_each_thread_keeps_its_order(client: TestClient) -> None:
    def run(name: str) -> None:
        for number in range(200):
            publish("t", [name, number])

    with subscribed(client, "t") as session:
        threads = [threading.Thread(target=run, args=[name]) for name in "abc"]
        for thread in threads:
            thread.start()
        messages = [session.receive_json() for _ in range(600)]
        for thread in threads:
            thread.join()
    for name in "abc":
        assert [number for other, number in messages if other == name] == list(range(200))


@pytest.mark.django_db
def test_after_the_commit(client: TestClient, django_capture_on_commit_callbacks: Any) -> None:
    with subscribed(client, "t") as session:
        with django_capture_on_commit_callbacks(execute=True):
            message = {"state": "before"}
            assert publish("t", message, on_commit=True) == Published(None, None)
            message["state"] = "after"
            publish("t", "at once")
        assert session.receive() == "at once"
        assert session.receive_json() == {"state": "before"}


@pytest.mark.django_db(transaction=True)
def test_a_rollback_drops_it(client: TestClient) -> None:
    with subscribed(client, "t") as session:
        with transaction.atomic():
            publish("t", "rolled back", on_commit=True)
            transaction.set_rollback(True)
        with transaction.atomic():
            publish("t", "committed", on_commit=True)
        assert session.receive() == "committed"


@pytest.mark.django_db(transaction=True)
def test_a_savepoint_that_is_rolled_back_drops_it(client: TestClient) -> None:
    with subscribed(client, "t") as session:
        with transaction.atomic():
            publish("t", "first", on_commit=True)
            with transaction.atomic():
                publish("t", "rolled back", on_commit=True)
                transaction.set_rollback(True)
            with transaction.atomic():
                publish("t", "second", on_commit=True)
            publish("t", "at once")
        assert [session.receive() for _ in range(3)] == ["at once", "first", "second"]


def test_without_a_transaction_there_is_nothing_to_wait_for(
    client: TestClient, transactional_db: None
) -> None:
    with subscribed(client, "t") as session:
        publish("t", "now", on_commit=True)
        assert session.receive() == "now"


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_fails_after_the_commit_is_logged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(publication: Publication) -> None:
        raise BrokerUnavailable("memory://", "gone")

    (hub,) = running_hubs()
    monkeypatch.setattr(hub.broker, "publish", fail)
    others: list[str] = []
    with subscribed(client, "t") as session:
        with transaction.atomic():
            publish("t", "here", on_commit=True)
            transaction.on_commit(lambda: others.append("ran"))
        assert session.receive() == "here"
    assert others == ["ran"]
    assert "gone" in caplog.text


def test_an_outage_raises_and_local_subscribers_get_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(publication: Publication) -> None:
        raise BrokerUnavailable("memory://", "gone")

    (hub,) = running_hubs()
    monkeypatch.setattr(hub.broker, "publish", fail)
    with subscribed(client, "t") as session:
        with pytest.raises(BrokerUnavailable):
            publish("t", "here")
        assert session.receive() == "here"


def test_several_clients_in_one_test_get_it(client: TestClient) -> None:
    with subscribed(client, "t") as first, subscribed(client, "t") as second:
        assert publish("t", "x").receivers == 2
        assert first.receive() == second.receive() == "x"
