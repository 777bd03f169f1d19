"""What handlers raise is raised in the test; what they do is told when the test waits in vain."""

from __future__ import annotations

import asyncio
import gc
import threading
import traceback
import weakref
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.http import Http404

from django_bolt import (
    BoltAPI,
    Depends,
    HTTPException,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from django_bolt.endpoints.outcome import error_observers
from django_bolt.testing import HandshakeRejected, TestClient
from django_bolt.testing.handlers import HandlerRecord
from tests.memory_connection import MemoryConnection
from tests.testing.sample_api import api
from tests.testing.twins import open_twin

answers = BoltAPI()
released = threading.Event()


@answers.websocket("/answers/{name}")
async def answer(websocket: WebSocket, name: str, accept: bool = True) -> None:
    if accept:
        await websocket.accept()
    errors: dict[str, Exception] = {
        "disconnect": WebSocketDisconnect(1001),
        "websocket-exception": WebSocketException(4100, "as agreed"),
        "http-exception": HTTPException(402, "Insert coin."),
        "http-404": Http404(),
    }
    raise errors[name]


def untidy() -> Iterator[str]:
    try:
        yield "value"
    finally:
        raise ZeroDivisionError


@answers.websocket("/untidy")
async def with_untidy_dependency(
    websocket: WebSocket, value: Annotated[str, Depends(untidy)], also: bool = False
) -> None:
    await websocket.accept()
    if also:
        raise KeyError(value)


@answers.websocket("/blocks")
async def blocks(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive()
    released.wait(5)


@answers.websocket("/nested")
async def nested(websocket: WebSocket) -> None:
    await websocket.accept()
    await wait_for_ever()


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@answers.websocket("/returns")
async def returns(websocket: WebSocket) -> None:
    """Leave without having accepted."""


# ── an error is raised in the test ────────────────────────────────────────────────────────────────────────────────


async def test_before_accept_it_is_raised_by_the_connecting(kind: str) -> None:
    async with open_twin(kind, api) as client:
        with pytest.raises(LookupError, match="before accept"):
            await client.connect("/fails/before")


@pytest.mark.parametrize("method", ["receive", "receive_text", "receive_json", "wait_closed", "close"])
async def test_after_accept_it_is_raised_by_what_learns_of_the_end(kind: str, method: str) -> None:
    async with open_twin(kind, api) as client:
        ws = await client.connect("/fails/after")
        assert await ws.receive_text() == "ready"
        await ws.send_text("go on")
        with pytest.raises(LookupError, match="after accept") as caught:
            await getattr(ws, method)()
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "fails"
    assert frames[0] == "test_after_accept_it_is_raised_by_what_learns_of_the_end"


async def test_it_is_raised_once(kind: str) -> None:
    async with open_twin(kind, api) as client:
        async with await client.connect("/fails/after") as ws:
            await ws.send_text("go on")
            assert await ws.receive() == "ready"  # what came before comes first
            with pytest.raises(LookupError):
                await ws.receive()
            with pytest.raises(WebSocketDisconnect) as caught:
                await ws.receive()
        assert caught.value.code == 1011


async def test_it_ends_an_iteration(kind: str) -> None:
    async with open_twin(kind, api) as client:
        ws = await client.connect("/fails/after")
        await ws.send_text("go on")
        with pytest.raises(LookupError):
            assert [message async for message in ws] == ["never"]


async def test_a_with_statement_around_the_session_raises_it(kind: str) -> None:
    async with open_twin(kind, api) as client:
        with pytest.raises(LookupError, match="after the client left"):
            async with await client.connect("/fails/late"):
                pass


async def test_the_end_of_the_client_raises_what_no_session_did(kind: str) -> None:
    with pytest.raises(LookupError, match="after the client left"):
        async with open_twin(kind, api) as client:
            await client.connect("/fails/late")


async def test_several_are_raised_as_a_group(kind: str) -> None:
    async def fail_twice() -> None:
        async with open_twin(kind, api) as client:
            for _ in range(2):
                await client.connect("/fails/late")

    with pytest.raises(ExceptionGroup, match="Handlers raised") as caught:
        await fail_twice()
    assert [type(error) for error in caught.value.exceptions] == [LookupError, LookupError]


async def test_the_error_of_the_test_goes_first(kind: str) -> None:
    async def fail_too() -> None:
        async with open_twin(kind, api) as client:
            await client.connect("/fails/late")
            raise AssertionError("of the test")

    with pytest.raises(AssertionError, match="of the test") as caught:
        await fail_too()
    assert caught.value.__notes__ == [
        "Before that, a handler raised LookupError('after the client left'); its traceback was logged."
    ]


async def test_it_can_be_left_to_the_client_to_see(kind: str) -> None:
    async with open_twin(kind, api, raise_handler_exceptions=False) as client:
        with pytest.raises(HandshakeRejected) as refused:
            await client.connect("/fails/before")
        assert refused.value.status == 500
        ws = await client.connect("/fails/after")
        await ws.send_text("go on")
        assert await ws.wait_closed() == 1011
        await client.connect("/fails/late")


async def test_an_error_is_logged_all_the_same(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_twin(kind, api) as client:
        with pytest.raises(LookupError):
            await client.connect("/fails/before")
    assert "LookupError: before accept" in caplog.text


@pytest.mark.parametrize(
    ("name", "code"), [("disconnect", 1000), ("websocket-exception", 4100)], ids=["disconnect", "websocket"]
)
async def test_what_is_an_answer_is_none(kind: str, name: str, code: int) -> None:
    async with open_twin(kind, answers) as client:
        assert await (await client.connect(f"/answers/{name}")).wait_closed() == code


@pytest.mark.parametrize(("name", "status"), [("http-exception", 402), ("http-404", 404)])
async def test_what_is_an_answer_before_accept_is_none(kind: str, name: str, status: int) -> None:
    async with open_twin(kind, answers) as client:
        with pytest.raises(HandshakeRejected) as refused:
            await client.connect(f"/answers/{name}?accept=false")
    assert refused.value.status == status


async def test_what_a_dependency_raises_at_the_end_is_an_error_of_the_test(kind: str) -> None:
    async with open_twin(kind, answers) as client:
        ws = await client.connect("/untidy")
        with pytest.raises(ZeroDivisionError):
            await ws.wait_closed()
        assert ws.close_code == 1000
    async with open_twin(kind, answers, raise_handler_exceptions=False) as client:
        assert await (await client.connect("/untidy")).wait_closed() == 1000


async def test_what_the_handler_raises_goes_before_what_a_dependency_raises_at_the_end(kind: str) -> None:
    async with open_twin(kind, answers) as client:
        ws = await client.connect("/untidy?also=true")
        with pytest.raises(KeyError):
            await ws.wait_closed()


async def test_an_http_answer_after_accept_is_an_error(kind: str) -> None:
    """There is no HTTP response any more that could carry it: the client is told 1011."""
    async with open_twin(kind, answers) as client:
        ws = await client.connect("/answers/http-exception")
        with pytest.raises(HTTPException):
            await ws.receive()


async def test_clients_do_not_mix_up_their_errors(kind: str) -> None:
    async with open_twin(kind, api) as one, open_twin(kind, api) as two:
        calm = await two.connect("/echo")
        with pytest.raises(LookupError):
            await one.connect("/fails/before")
        await calm.send_text("undisturbed")
        assert await calm.receive() == "undisturbed"


async def test_nothing_is_left_of_a_client(kind: str) -> None:
    before = list(error_observers)
    async with open_twin(kind, api) as client:
        assert len(error_observers) == len(before) + 1
        await client.connect("/echo")
    assert error_observers == before


def test_an_ended_connection_is_not_kept_alive() -> None:
    references: list[weakref.ref[WebSocket]] = []
    remembering = BoltAPI()

    @remembering.websocket("/remembered")
    async def remembered(websocket: WebSocket) -> None:
        references.append(weakref.ref(websocket))
        await websocket.accept()

    with TestClient(remembering) as client:
        client.websocket_connect("/remembered").close()
        gc.collect()
        assert references[0]() is None


# ── what a handler does is told ───────────────────────────────────────────────────────────────────────────────────


async def wait_in_vain(kind: str, path: str, message: str | None = None) -> str:
    async with open_twin(kind, answers, api, timeout=2) as client:
        ws: Any = await client.connect(path)
        if message is not None:
            await ws.send_text(message)
        with pytest.raises(TimeoutError) as caught:
            await ws.receive_text(timeout=0.05)
        released.set()
    return str(caught.value)


async def test_where_a_handler_waits(kind: str) -> None:
    told = await wait_in_vain(kind, "/echo")
    assert told.startswith("Waited 0.05 s for a text message, in vain: the handler of /echo, tests.testing.")
    assert "sample_api.echo (" in told
    assert told.endswith("async for message in websocket:")
    assert "sample_api.py:" in told.rpartition("waiting at ")[2]


async def test_where_a_handler_waits_is_told_by_its_outermost_line(kind: str) -> None:
    assert (await wait_in_vain(kind, "/nested")).endswith("await wait_for_ever()")


async def test_a_handler_that_blocks_the_loop() -> None:
    released.clear()
    told = await wait_in_vain("blocking", "/blocks", "block")
    assert told.endswith("released.wait(5)")
    assert ", blocking its event loop at " in told


async def test_what_blocks_the_loop_is_told_by_others() -> None:
    released.clear()
    async with open_twin("blocking", answers, timeout=0.05) as client:
        await (await client.connect("/blocks")).send_text("block")
        told = r"the server has not taken it yet; the handler of /blocks, .*blocking its event loop at"
        with pytest.raises(TimeoutError, match=told):
            await client.connect("/nested")
        released.set()


async def test_a_handler_that_has_ended() -> None:
    websocket, task = MemoryConnection("/ws"), asyncio.create_task(asyncio.sleep(0))
    record = HandlerRecord(websocket, task)
    assert record.describe().startswith("/ws still runs and has not accepted")
    await asyncio.wait_for(asyncio.wrap_future(record.ended), 5)
    assert record.describe() == "/ws has ended"
