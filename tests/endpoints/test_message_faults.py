from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_bolt import InvalidMessage, UnsupportedData
from tests.endpoints.chat_class import Chat, Ending, answers, noted, run

UNKNOWN = {"type": "error", "error": "invalid_message", "detail": "Invalid value 'shout'", "path": "$.type"}


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    noted.clear()
    yield
    noted.clear()


async def test_an_invalid_message_is_answered_and_the_connection_goes_on() -> None:
    connection = await run(
        Chat, {"type": "shout"}, "{", b'{"type":"say","text":1}', b'{"type":"say","text":"hi"}'
    )
    error = {"type": "error", "error": "invalid_message"}
    assert answers(connection) == [
        UNKNOWN,
        {**error, "detail": "Input data was truncated", "path": "$"},
        {**error, "detail": "Expected `str`, got `int`", "path": "$.text"},
        {"type": "said", "text": "HI"},
    ]
    assert noted == [(1001, "bye")]


async def test_a_method_may_find_a_message_invalid_too() -> None:
    connection = await run(Chat, {"type": "fail", "how": "invalid"}, {"type": "say", "text": "hi"})
    assert answers(connection) == [
        {"type": "error", "error": "invalid_message", "detail": "too long", "path": "$.text"},
        {"type": "said", "text": "HI"},
    ]


async def test_several_errors_are_all_listed() -> None:
    class Listing:
        async def on_text(self, text: str) -> None:
            raise InvalidMessage.of([{"path": "$.a", "reason": "odd"}, {"path": "$.b", "reason": "even"}])

    [answer] = answers(await run(Listing, "hi"))
    assert (answer["detail"], answer["path"]) == ("odd", "$.a")
    assert answer["errors"] == [{"path": "$.a", "reason": "odd"}, {"path": "$.b", "reason": "even"}]


async def test_the_other_kind_of_message_is_answered_likewise() -> None:
    class Text:
        async def on_text(self, text: str) -> str:
            return text

    connection = await run(Text, b"binary", "text")
    detail = "Expected a text message, got a binary message"
    assert [json.loads(connection.sent[0]), connection.sent[1]] == [
        {"type": "error", "error": "unsupported_data", "detail": detail, "path": "$"},
        "text",
    ]


async def test_a_setting_closes_instead() -> None:
    with override_settings(BOLT={"INVALID_MESSAGES": "close"}):
        connection = await run(Chat, {"type": "shout"}, {"type": "say", "text": "hi"})
    assert (connection.sent, connection.failed) == ([], (1007, "invalid message"))
    assert noted == [(1007, "invalid message")]


async def test_the_class_may_say_otherwise_than_the_settings() -> None:
    class Strict(Chat):
        invalid_messages = "close"

        async def on_data(self, data: bytes) -> None:
            raise UnsupportedData("text", "binary")

    class Lenient(Chat):
        invalid_messages = "reply"

    assert (await run(Strict, {"type": "shout"})).failed == (1007, "invalid message")
    assert (await run(Strict, {"type": "fail", "how": "invalid"})).failed == (1007, "invalid message")
    assert (await run(Strict, b"")).failed == (1003, "unsupported data")
    with override_settings(BOLT={"INVALID_MESSAGES": "close"}):
        assert answers(await run(Lenient, {"type": "shout"})) == [UNKNOWN]


async def test_a_method_for_invalid_messages_answers_them_in_its_own_way() -> None:
    class Own(Chat):
        async def on_invalid(self, error: InvalidMessage | UnsupportedData) -> dict[str, Any]:
            if error.close_code == 1007 and isinstance(error, InvalidMessage) and error.path == "$":
                raise error
            return {"oops": str(error)}

        async def on_data(self, data: bytes) -> None:
            raise UnsupportedData("text", "binary")

    class Special(InvalidMessage):
        pass

    class Subclass:
        async def on_text(self, text: str) -> None:
            raise Special("odd")

    connection = await run(Own, {"type": "shout"}, b"", {"type": "fail", "how": "invalid"}, "{")
    assert [answer["oops"] for answer in answers(connection)] == [
        "Invalid value 'shout' (at $.type)",
        "Expected a text message, got a binary message",
        "too long (at $.text)",
    ]
    assert connection.failed == (1007, "invalid message")
    assert answers(await run(Subclass, "hi"))[0]["detail"] == "odd"


async def test_a_class_that_takes_no_messages_says_so() -> None:
    connection = await run(Ending, "hi", b"")
    assert [answer["detail"] for answer in answers(connection)] == ["No messages are taken here"] * 2
