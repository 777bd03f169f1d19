from __future__ import annotations

import gc
import json
import logging
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from django_bolt import Depends, HTTPException, WebSocket, WebSocketException
from django_bolt.threads import job_threads
from tests.endpoints.chat_class import Chat, Ending, Said, Say, answers, noted, run
from tests.memory_connection import MemoryConnection


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    noted.clear()
    yield
    noted.clear()


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


async def test_plain_methods_run_in_threads() -> None:
    loop_thread = threading.get_ident()

    class Plain:
        def on_connect(self, page: int) -> None:
            self.threads = [threading.get_ident()]
            self.page = page

        def on_say(self, message: Say) -> Said:
            self.threads.append(threading.get_ident())
            return Said(f"{message.text} {self.page}")

        def on_disconnect(self, code: int) -> None:
            noted.append((code, loop_thread in self.threads, len(self.threads)))

    connection = await run(Plain, {"type": "say", "text": "hi"}, target="/?page=3")
    assert answers(connection) == [{"type": "said", "text": "hi 3"}]
    assert noted == [(1001, False, 2)]


async def test_without_on_connect_the_path_may_have_parameters_all_the_same() -> None:
    class Names:
        async def on_text(self, text: str, websocket: WebSocket) -> str:
            return f"{websocket.path_params['name']}: {text}"

    connection = await run(Names, "hi", path="/{name}", target="/Ada")
    assert connection.sent == ["Ada: hi"]


# ── on_connect ───────────────────────────────────────────────────────────────────────────────────────────


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


# ── raw messages ───────────────────────────────────────────────────────────────────────────────────────────


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


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────


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
    assert f"{Chat.__module__}.Chat (" in record.getMessage()


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


class Holding:
    async def on_connect(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        noted.append(weakref.ref(self))

    async def on_say(self, message: Say) -> Said:
        return Said(message.text)


class HoldingToTheEndInAThread(Holding):
    def on_disconnect(self) -> None: ...


class FailingInAThread(Holding):
    def on_say(self, message: Say) -> None:  # type: ignore[override]
        raise WebSocketException(4000, message.text)  # which is not logged: a log record would hold it


@pytest.mark.parametrize("cls", [Holding, HoldingToTheEndInAThread, FailingInAThread])
async def test_what_a_connection_held_is_free_when_it_has_ended(cls: type) -> None:
    gc.disable()
    try:
        await run(cls, {"type": "say", "text": "hi"}, "{", {"type": "shout"})
        job_threads.retire()  # A thread drops its last job a moment after it has told the result.
        assert [reference() for reference in noted] == [None]
    finally:
        gc.enable()
