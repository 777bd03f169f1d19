"""The table *What happens when*, as far as it is decided here; on the wire it is tested elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404

from django_bolt import (
    BoltAPI,
    HTTPException,
    InvalidMessage,
    UnsupportedData,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from django_bolt.auth import AuthenticationFailed
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.endpoints.outcome import error_observers
from tests.memory_connection import MemoryConnection, serve

Body = Callable[[WebSocket], Awaitable[None]]


def raising(error: BaseException, *, accept: bool) -> Body:
    async def body(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        raise error

    return body


async def run(body: Body, messages: tuple[str | bytes, ...] = ()) -> MemoryConnection:
    api = BoltAPI()

    @api.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await body(websocket)

    return await serve(Dispatcher(api), MemoryConnection("/ws?token=secret", messages=messages))


def rejection(websocket: MemoryConnection) -> tuple[int, Any]:
    assert websocket.rejected is not None
    assert (websocket.closed, websocket.failed) == (None, None)
    return websocket.rejected[0], json.loads(websocket.rejected[2])


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_returning_before_accept_is_403() -> None:
    async def body(websocket: WebSocket) -> None:
        """Do nothing."""

    assert rejection(await run(body)) == (403, {"detail": "The connection was not accepted."})


async def test_returning_after_accept_is_close_1000() -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()

    assert (await run(body)).closed == (1000, "")


async def test_what_the_handler_closed_is_left_as_it_is() -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.close(4001, "Invalid token")

    websocket = await run(body)
    assert (websocket.closed, websocket.rejected) == ((4001, "Invalid token"), None)


async def test_an_exception_before_accept_is_500_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    websocket = await run(raising(ValueError("inner text"), accept=False))
    assert rejection(websocket) == (500, {"detail": "Internal Server Error"})
    assert len(errors(caplog)) == 1


async def test_an_exception_after_accept_is_1011_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    websocket = await run(raising(ValueError("inner text"), accept=True))
    assert websocket.failed == (1011, "")
    [record] = errors(caplog)
    assert record.name == "django_bolt.endpoint"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert vars(record)["connection_id"] == 7
    assert vars(record)["path"] == "/ws"
    assert vars(record)["client"] == ("192.0.2.1", 50000)
    assert "Connection 7 from 192.0.2.1:50000: " in record.getMessage()
    assert f"{__name__}.run.<locals>.handler ({__file__}:" in record.getMessage()
    assert "secret" not in caplog.text


async def test_an_exception_after_the_client_left_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive()
        except WebSocketDisconnect:
            raise KeyError("in clean-up") from None

    websocket = await run(body)
    assert (websocket.failed, websocket.closed) == (None, None)
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize("accept", [True, False])
async def test_websocket_exception_closes_with_its_code(
    accept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    websocket = await run(raising(WebSocketException(4001, "no"), accept=accept))
    assert (websocket.closed, websocket.rejected) == ((4001, "no"), None)
    assert caplog.records == []


async def test_http_exception_before_accept_is_that_response(caplog: pytest.LogCaptureFixture) -> None:
    error = HTTPException(429, {"retry": 5}, {"Retry-After": "5"})
    websocket = await run(raising(error, accept=False))
    assert rejection(websocket) == (429, {"detail": {"retry": 5}})
    assert websocket.rejected is not None
    assert ("Retry-After", "5") in websocket.rejected[1]
    assert errors(caplog) == []


async def test_http_exception_after_accept_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    websocket = await run(raising(HTTPException(404), accept=True))
    assert websocket.failed == (1011, "")
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (Http404("No Room matches"), 404, "Not Found"),
        (PermissionDenied("inner text"), 403, "Forbidden"),
        (SuspiciousOperation("inner text"), 400, "Bad Request"),
    ],
)
async def test_what_a_view_may_raise_means_the_same_before_accept(
    error: Exception, status: int, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert rejection(await run(raising(error, accept=False))) == (status, {"detail": detail})
    assert errors(caplog) == []
    assert (await run(raising(error, accept=True))).failed == (1011, "")
    assert len(errors(caplog)) == 1


async def test_wrong_credentials_are_401_before_accept_and_4401_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failure = AuthenticationFailed("Bad key.")
    assert rejection(await run(raising(failure, accept=False))) == (401, {"detail": "Bad key."})
    assert (await run(raising(failure, accept=True))).failed == (4401, "authentication failed")
    assert errors(caplog) == []


async def test_the_leaving_of_a_client_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass

    websocket = await run(body, ("a",))
    assert (websocket.closed, websocket.failed) == (None, None)
    assert caplog.records == []


async def test_a_client_that_leaves_before_accept_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async def body(websocket: WebSocket) -> None:
        assert isinstance(websocket, MemoryConnection)
        websocket.leave()
        await websocket.accept()

    assert (await run(body)).rejected is None
    assert caplog.records == []


async def test_a_disconnect_raised_by_hand_ends_the_connection() -> None:
    assert (await run(raising(WebSocketDisconnect(), accept=True))).closed == (1000, "")
    assert rejection(await run(raising(WebSocketDisconnect(), accept=False)))[0] == 403


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (UnsupportedData("text", "binary"), (1003, "unsupported data")),
        (InvalidMessage("payload in it", "$.x"), (1007, "invalid message")),
    ],
)
async def test_a_message_that_cannot_be_used_closes_with_its_code(
    error: Exception, failed: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        websocket = await run(raising(error, accept=True))
    assert websocket.failed == failed
    assert errors(caplog) == []
    assert "payload in it" not in caplog.text
    assert str(failed[0]) in caplog.text


async def test_binary_where_text_was_asked_for() -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    assert (await run(body, (b"a",))).failed == (1003, "unsupported data")


async def test_a_handler_may_catch_an_invalid_message_and_go_on() -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(InvalidMessage):
            await websocket.receive_json()
        await websocket.send_json(await websocket.receive_json())

    websocket = await run(body, ("{", "[1]"))
    assert websocket.sent == ["[1]"]
    assert websocket.closed == (1000, "")


@pytest.mark.parametrize("accept", [True, False])
async def test_a_cancelled_handler_goes_away(accept: bool, caplog: pytest.LogCaptureFixture) -> None:
    api = BoltAPI()

    @api.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        await asyncio.Event().wait()

    websocket = MemoryConnection("/ws")
    Dispatcher(api)(websocket)
    await asyncio.sleep(0)
    websocket.task.cancel()
    await asyncio.wait([websocket.task])
    assert websocket.task.cancelled()
    if accept:
        assert websocket.failed == (1001, "")
    else:
        assert rejection(websocket) == (503, {"detail": "Service Unavailable"})
    assert caplog.records == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_the_end_of_the_process_is_not_held_up(error: BaseException) -> None:
    with pytest.raises(type(error)):
        asyncio.run(run(raising(error, accept=True)))


async def test_a_task_group_whose_tasks_all_lose_the_client_ends_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both_left = BaseExceptionGroup("", [WebSocketDisconnect(), ExceptionGroup("", [WebSocketDisconnect()])])
    websocket = await run(raising(both_left, accept=True))
    assert websocket.failed is None
    assert caplog.records == []


async def test_in_a_task_group_the_one_other_exception_counts(caplog: pytest.LogCaptureFixture) -> None:
    async def body(websocket: WebSocket) -> None:
        await websocket.accept()

        async def refuse() -> None:
            raise WebSocketException(4002, "enough")

        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())
            group.create_task(asyncio.sleep(60))

    assert (await run(body)).closed == (4002, "enough")
    mixed = ExceptionGroup("", [WebSocketDisconnect(), InvalidMessage("bad")])
    assert (await run(raising(mixed, accept=True))).failed == (1007, "invalid message")
    assert errors(caplog) == []


async def test_in_a_task_group_several_exceptions_are_logged_as_the_group(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = ExceptionGroup("", [ValueError("one"), KeyError("two"), WebSocketDisconnect()])
    assert (await run(raising(group, accept=True))).failed == (1011, "")
    [record] = errors(caplog)
    assert record.exc_info is not None
    assert record.exc_info[1] is group


@pytest.mark.parametrize("accept", [False, True])
async def test_who_observes_errors_learns_of_them_before_the_client(accept: bool) -> None:
    seen: list[tuple[BaseException, int]] = []

    def observe(websocket: WebSocket, error: BaseException) -> None:
        seen.append((error, websocket.ready_state))

    error = LookupError("secret")
    error_observers.append(observe)
    try:
        await run(raising(error, accept=accept))
        await run(raising(WebSocketException(4000), accept=accept))
        await run(raising(HTTPException(402), accept=False))
    finally:
        error_observers.remove(observe)
    assert seen == [(error, int(accept))]
