from __future__ import annotations

import abc
import asyncio
import gc
import json
import logging
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest
from django.test import override_settings

from django_bolt import (
    BoltAPI,
    Depends,
    HTTPException,
    InvalidHandler,
    InvalidMessage,
    UnsupportedData,
    WebSocket,
    WebSocketException,
)
from django_bolt.endpoints.class_endpoints import adapt_class
from django_bolt.endpoints.dispatch import Dispatcher
from tests.memory_connection import MemoryConnection, serve


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct, tag="said"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


class Fail(msgspec.Struct, tag="fail"):
    """Fail in the way that `FAILURES` has under the name."""

    how: str


FAILURES: dict[str, BaseException] = {
    "error": KeyError("secret"),
    "exception": WebSocketException(4005, "enough"),
    "cancelled": asyncio.CancelledError(),
    "group": ExceptionGroup("several", [WebSocketException(4006, "one")]),
    "invalid": InvalidMessage("too long", "$.text"),
    "http": HTTPException(404),
}

noted: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    noted.clear()
    yield
    noted.clear()


async def run(
    cls: type, *messages: str | bytes | dict[str, Any], target: str = "/", path: str = "/"
) -> MemoryConnection:
    """Serve one connection of a client that sends messages and leaves with 1001."""
    api = BoltAPI()
    api.websocket(path)(cls)
    encoded = [json.dumps(message) if isinstance(message, dict) else message for message in messages]
    return await serve(Dispatcher(api), MemoryConnection(target, messages=encoded))


def answers(connection: MemoryConnection) -> list[Any]:
    return [json.loads(message) for message in connection.sent]


class Chat:
    async def on_say(self, message: Say) -> Said | None:
        return Said(message.text.upper()) if message.text else None

    async def on_leave(self, message: Leave, websocket: WebSocket) -> None:
        await websocket.close(4001, "left")

    async def on_fail(self, message: Fail) -> None:
        raise FAILURES[message.how]

    async def on_disconnect(self, code: int, reason: str) -> None:
        noted.append((code, reason))


async def test_a_message_goes_to_the_method_of_its_type_and_the_result_is_the_answer() -> None:
    connection = await run(
        Chat, {"type": "say", "text": "hi"}, {"type": "say", "text": ""}, {"type": "leave"}
    )
    assert answers(connection) == [{"type": "said", "text": "HI"}]
    assert connection.accepted == (None, [])
    assert connection.closed == (4001, "left")
    assert noted == [(4001, "left")]


async def test_an_instance_is_made_for_each_connection_and_holds_its_state() -> None:
    @dataclass
    class Counter:
        step: int = 1
        counts: list[int] = field(default_factory=list)

        async def on_connect(self, step: int) -> None:
            self.step = step

        async def on_object(self, message: dict[str, Any]) -> list[int]:
            self.counts.append(self.step)
            return self.counts

    first = await run(Counter, {}, {}, target="/?step=2")
    second = await run(Counter, {}, target="/?step=3")
    assert answers(first) == [[2], [2, 2]]
    assert answers(second) == [[3]]


async def current_user(websocket: WebSocket, name: str) -> str:
    return f"user {name}"


class Room:
    async def on_connect(
        self,
        room_id: int,
        socket: WebSocket,
        user: Annotated[str, Depends(current_user)],
        limit: int = 10,
    ) -> None:
        await socket.accept(headers={"X-Room": str(room_id)})
        await socket.send_json([room_id, user, limit, type(socket).__name__])


async def test_parameters_and_dependencies_go_to_on_connect() -> None:
    connection = await run(Room, path="/room/{room_id}", target="/room/7?name=Ada&limit=3")
    assert answers(connection) == [[7, "user Ada", 3, "MemoryConnection"]]
    assert connection.accepted == (None, [("X-Room", "7")])


async def test_parameters_that_do_not_convert_are_refused_before_an_instance_is_made() -> None:
    connection = await run(Room, path="/room/{room_id}", target="/room/seven")
    assert connection.rejected is not None
    status, _, body = connection.rejected
    assert (status, len(json.loads(body)["errors"])) == (422, 2)


async def test_without_on_connect_the_path_may_have_parameters_all_the_same() -> None:
    class Names:
        async def on_text(self, text: str, websocket: WebSocket) -> str:
            return f"{websocket.path_params['name']}: {text}"

    connection = await run(Names, "hi", path="/{name}", target="/Ada")
    assert connection.sent == ["Ada: hi"]


# ── on_connect ───────────────────────────────────────────────────────────────────────────────────────────


class Ending:
    """Notes how it ends."""

    async def on_disconnect(self, code: int) -> None:
        noted.append(code)


async def test_a_connection_that_on_connect_does_not_answer_is_accepted() -> None:
    class Waiting(Ending):
        async def on_connect(self, websocket: WebSocket) -> None:
            noted.append(websocket.state.name)

    connection = await run(Waiting)
    assert connection.accepted == (None, [])
    assert noted == ["CONNECTING", 1001]


async def test_a_connection_that_on_connect_refuses_takes_no_messages_and_is_not_disconnected() -> None:
    class Rejecting(Ending):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.reject(404)

        async def on_text(self, text: str) -> None:
            noted.append(text)

    class Closing(Rejecting):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.close(4001, "no")

    class Raising(Rejecting):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise HTTPException(402)

    assert (await run(Rejecting, "hi")).rejected == (404, [], b"")
    assert (await run(Closing, "hi")).closed == (4001, "no")
    rejected = (await run(Raising, "hi")).rejected
    assert rejected is not None
    assert rejected[0] == 402
    assert noted == []


async def test_on_connect_may_close_what_it_has_accepted() -> None:
    class Greeting(Ending):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text("We are closed.")
            await websocket.close(4004)

    connection = await run(Greeting, "hi")
    assert (connection.sent, connection.closed) == (["We are closed."], (4004, ""))
    assert noted == [4004]


async def test_on_disconnect_runs_for_a_client_that_leaves_in_on_connect_once_it_was_accepted() -> None:
    class Joining(Ending):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            assert isinstance(websocket, MemoryConnection)
            websocket.leave()
            await websocket.send_text("history")

    await run(Joining)
    assert noted == [1006]


async def test_a_client_that_left_before_it_could_be_accepted() -> None:
    class Slow(Ending):
        async def on_connect(self, websocket: WebSocket) -> None:
            assert isinstance(websocket, MemoryConnection)
            websocket.leave()

    connection = await run(Slow)
    assert connection.accepted is None
    assert noted == []


# ── messages that cannot be used ─────────────────────────────────────────────────────────────────────────

UNKNOWN = {"type": "error", "error": "invalid_message", "detail": "Invalid value 'shout'", "path": "$.type"}


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


# ── raw messages ─────────────────────────────────────────────────────────────────────────────────────────


class Echo:
    async def on_raw(self, data: str | bytes) -> Any:
        if data == "json":
            return {"a": 1}
        return bytearray(data) if isinstance(data, bytes) else data


async def test_raw_messages_are_answered_by_raw_ones() -> None:
    connection = await run(Echo, "text", b"\x00", "json")
    assert connection.sent == ["text", b"\x00", '{"a":1}']


async def test_a_text_that_answers_a_json_message_is_json() -> None:
    class Text:
        async def on_say(self, message: Say) -> str:
            return message.text

        async def on_data(self, data: bytes) -> bytes:
            return data

    connection = await run(Text, {"type": "say", "text": "hi"}, b"\x00")
    assert connection.sent == ['"hi"', b"\x00"]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("error", (1011, "")),
        ("exception", (4005, "enough")),
        ("cancelled", (1001, "")),
        ("group", (4006, "one")),
        ("http", (1011, "")),
    ],
)
async def test_on_disconnect_knows_how_the_connection_is_about_to_end(
    how: str, ending: tuple[int, str]
) -> None:
    connection = await run(Chat, {"type": "fail", "how": how}, {"type": "say", "text": "hi"})
    assert connection.sent == []
    assert (connection.closed or connection.failed) == ending
    assert noted == [ending]


async def test_an_error_of_a_method_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "django_bolt.endpoint"):
        await run(Chat, {"type": "fail", "how": "error"})
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
    assert f"{__name__}.Chat (" in record.getMessage()


async def test_an_error_of_on_disconnect_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def on_disconnect(self) -> None:
            raise KeyError("secret")

    with caplog.at_level(logging.ERROR, "django_bolt.endpoint"):
        await run(Broken)
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [KeyError]


async def test_on_disconnect_takes_what_it_names() -> None:
    class Some:
        async def on_disconnect(self, reason: str, socket: WebSocket) -> None:
            noted.append((reason, socket.state.name))

    class Keyword:
        async def on_disconnect(self, *, code: int) -> None:
            noted.append(code)

    class Nothing:
        async def on_disconnect(self) -> None:
            noted.append("nothing")

    for cls in (Some, Keyword, Nothing):
        await run(cls)
    assert noted == [("bye", "DISCONNECTED"), 1001, "nothing"]


async def test_what_a_connection_held_is_free_when_it_has_ended() -> None:
    held: list[weakref.ref[Any]] = []

    class Holding:
        async def on_connect(self, websocket: WebSocket) -> None:
            self.websocket = websocket
            held.append(weakref.ref(self))

        async def on_say(self, message: Say) -> Said:
            return Said(message.text)

    gc.disable()
    try:
        await run(Holding, {"type": "say", "text": "hi"}, "{", {"type": "shout"})
        assert [reference() for reference in held] == [None]
    finally:
        gc.enable()


# ── what cannot work ─────────────────────────────────────────────────────────────────────────────────────


class Empty:
    async def connect(self) -> None: ...


class Demanding:
    def __init__(self, name: str) -> None: ...

    async def on_connect(self) -> None: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    async def on_connect(self) -> None: ...


class Sync:
    def on_connect(self) -> None: ...


class SyncEnd:
    def on_disconnect(self) -> None: ...


class OddEnd:
    async def on_disconnect(self, code: int, message: str) -> None: ...


class Undecided:
    invalid_messages = "ignore"

    async def on_connect(self) -> None: ...


class Ambiguous:
    async def on_list(self, message: list[int]) -> None: ...
    async def on_text(self, message: str) -> None: ...


@pytest.mark.parametrize(
    ("cls", "place", "text"),
    [
        (Empty, "Empty", r"needs methods such as on_connect\(\)"),
        (
            Demanding,
            "Demanding",
            "made without arguments for each connection, but missing a required argument: 'name'",
        ),
        (Abstract, "Abstract", "it is abstract"),
        (Sync, "Sync.on_connect", "must be an 'async def' method"),
        (SyncEnd, "SyncEnd.on_disconnect", "must be an 'async def' method"),
        (
            OddEnd,
            "OddEnd.on_disconnect",
            "takes code, reason and the WebSocket, or some of them; not 'message'",
        ),
        (Undecided, "Undecided", "invalid_messages is 'ignore'; it must be one of 'reply', 'close'"),
        (Ambiguous, "Ambiguous", "str takes every text message"),
    ],
)
def test_a_class_that_cannot_be_an_endpoint_is_refused_with_its_line(
    cls: type, place: str, text: str
) -> None:
    with pytest.raises(InvalidHandler, match=rf"{place} \(.*test_class_endpoints\.py:\d+\): .*{text}"):
        adapt_class(cls)


def test_bad_parameters_of_on_connect_are_refused_with_its_line() -> None:
    class Bad:
        async def on_connect(self, room: object) -> None: ...

    with pytest.raises(
        InvalidHandler, match=r"Bad\.on_connect \(.*:\d+\): parameter 'room' has the annotation"
    ):
        BoltAPI().websocket("/")(Bad)


def decorated(names: Sequence[str]) -> type:
    return type("Made", (), dict.fromkeys(names, Chat.on_leave))


async def test_a_class_made_by_a_program_works_too() -> None:
    assert (await run(decorated(["on_leave"]), "{}")).closed == (4001, "left")
