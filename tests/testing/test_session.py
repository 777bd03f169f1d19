"""Sessions of both kinds: `WebSocketTestSession`, and `AsyncWebSocketTestSession` in the same words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from django_bolt import BoltAPI, CloseCode, InvalidMessage, WebSocket, WebSocketDisconnect
from django_bolt.testing import TestClient
from tests.testing.twins import Session, Twin, open_twin

api = BoltAPI()
log: list[tuple[int, str]] = []


@dataclass
class Order:
    item: str
    count: int = 1


@api.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        async for message in websocket:
            await websocket.send(message)
    except WebSocketDisconnect as error:
        log.append((error.code, error.reason))


@api.websocket("/count/{limit}")
async def count(websocket: WebSocket, limit: int) -> None:
    await websocket.accept()
    for number in range(limit):
        await websocket.send_text(str(number))
    await websocket.send_bytes(b"end")
    await websocket.close(4000, "counted")


@api.websocket("/json")
async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json({"got": message})


@api.websocket("/slow-farewell")
async def slow_farewell(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await websocket.receive()
    except WebSocketDisconnect as error:
        await asyncio.sleep(0.02)
        log.append((error.code, "at last"))


@api.websocket("/deaf")
async def deaf(websocket: WebSocket) -> None:
    await websocket.accept()
    await asyncio.sleep(60)


@pytest.fixture
async def client(kind: str) -> AsyncIterator[Twin]:
    log.clear()
    async with open_twin(kind, api, timeout=2) as twin:
        yield twin


@pytest.fixture
async def ws(client: Twin) -> Session:
    return await client.connect("/echo")


async def test_text_and_bytes(ws: Session) -> None:
    await ws.send_text("é")
    await ws.send_bytes(b"\x00")
    await ws.send_text("")
    await ws.send("either")
    await ws.send(b"kind")
    received = [await ws.receive() for _ in range(5)]
    assert received == ["é", b"\x00", "", "either", b"kind"]


async def test_receiving_by_kind(ws: Session) -> None:
    await ws.send_text("text")
    assert await ws.receive_text() == "text"
    await ws.send_bytes(b"bytes")
    assert await ws.receive_bytes() == b"bytes"


async def test_a_large_message(ws: Session) -> None:
    await ws.send_text("é" * 500_000)
    assert await ws.receive_text() == "é" * 500_000


async def test_json(client: Twin) -> None:
    async with await client.connect("/json") as ws:
        await ws.send_json({"day": date(2024, 2, 29), "items": [1, None, "é"]})
        assert await ws.receive_json() == {"got": {"day": "2024-02-29", "items": [1, None, "é"]}}


async def test_json_into_a_type(ws: Session) -> None:
    await ws.send_json({"item": "tea", "count": 2})
    assert await ws.receive_json(type=Order) == Order("tea", 2)
    await ws.send_bytes(b'{"item": 7}')
    with pytest.raises(InvalidMessage, match="Expected `str`, got `int`") as caught:
        await ws.receive_json(type=Order)
    assert caught.value.path == "$.item"


async def test_a_message_of_the_other_kind(ws: Session) -> None:
    await ws.send_text("text")
    with pytest.raises(AssertionError, match="Expected a binary message, got a text one: 'text'"):
        await ws.receive_bytes()
    await ws.send_bytes(b"bytes")
    with pytest.raises(AssertionError, match="Expected a text message, got a binary one: b'bytes'"):
        await ws.receive_text()


@pytest.mark.parametrize(
    ("method", "awaited"),
    [
        ("receive", "a message"),
        ("receive_text", "a text message"),
        ("receive_bytes", "a binary message"),
        ("receive_json", "a JSON message"),
        ("wait_closed", "the server's Close frame"),
    ],
)
async def test_a_wait_in_vain_says_for_what(ws: Session, method: str, awaited: str) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=rf"Waited 0\.02 s for {awaited}, in vain: the handler of /echo"):
        await getattr(ws, method)(timeout=0.02)
    assert 0.01 < time.monotonic() - began < 1
    await ws.send_text("still usable")
    assert await ws.receive() == "still usable"


async def test_a_wait_in_vain_tells_of_unread_messages(client: Twin) -> None:
    ws = await client.connect("/echo")
    for text in ("one", "two"):
        await ws.send_text(text)
    await ws.ping()
    with pytest.raises(TimeoutError, match=r"; messages that came and were not received: 2$"):
        await ws.wait_closed(timeout=0.01)


async def test_the_timeout_of_the_client(kind: str) -> None:
    async with open_twin(kind, api, timeout=0.03) as quick:
        ws = await quick.connect("/echo")
        with pytest.raises(TimeoutError, match=r"0\.03 s"):
            await ws.receive()


async def test_no_wait_at_all(ws: Session) -> None:
    with pytest.raises(TimeoutError):
        await ws.receive(timeout=0)


async def test_iteration_ends_when_the_server_closes(client: Twin) -> None:
    ws = await client.connect("/count/3")
    assert [message async for message in ws] == ["0", "1", "2", b"end"]
    assert (ws.close_code, ws.close_reason) == (4000, "counted")
    assert [message async for message in ws] == []


async def test_messages_before_the_close_are_received_first(client: Twin) -> None:
    ws = await client.connect("/count/1")
    assert await ws.wait_closed() == 4000
    assert [await ws.receive(), await ws.receive()] == ["0", b"end"]
    with pytest.raises(WebSocketDisconnect) as caught:
        await ws.receive()
    assert (caught.value.code, caught.value.reason) == (4000, "counted")


async def test_sending_after_the_end(client: Twin) -> None:
    ws = await client.connect("/count/0")
    await ws.wait_closed()
    sends: list[tuple[Any, ...]] = [
        (ws.send, "x"),
        (ws.send_text, "x"),
        (ws.send_bytes, b"x"),
        (ws.send_json, 1),
        (ws.send_raw, b"x"),
        (ws.ping,),
    ]
    for send, *arguments in sends:
        with pytest.raises(WebSocketDisconnect) as caught:
            await send(*arguments)
        assert caught.value.code == 4000
    await ws.close()


async def test_close(client: Twin, ws: Session) -> None:
    assert ws.close_code is None
    await ws.close(4321, "gründe")
    assert (ws.close_code, ws.close_reason) == (4321, "")
    await ws.close()
    await (await client.connect("/echo")).close(None)
    assert log == [(4321, "gründe"), (1005, "")]


async def test_a_with_statement_closes(client: Twin) -> None:
    async with await client.connect("/echo") as ws:
        assert ws.close_code is None
    assert ws.close_code == 1000
    assert log == [(1000, "")]


async def test_a_with_statement_around_a_server_that_closes(client: Twin) -> None:
    async with await client.connect("/count/0") as ws:
        assert await ws.receive() == b"end"
    assert ws.close_code == 4000


async def test_closing_waits_for_what_the_handler_does_then(client: Twin) -> None:
    await (await client.connect("/slow-farewell")).close(4001)
    assert log == [(4001, "at last")]


async def test_closing_does_not_wait_for_a_handler_that_goes_on(client: Twin) -> None:
    ws = await client.connect("/deaf")
    began = time.monotonic()
    await ws.close()
    assert time.monotonic() - began < 1
    assert ws.close_code == 1000


async def test_an_exception_in_a_with_statement_is_not_replaced_by_one_of_its_end(client: Twin) -> None:
    began = time.monotonic()
    with pytest.raises(LookupError, match="of the test"):
        async with await client.connect("/deaf"):
            raise LookupError("of the test")
    assert time.monotonic() - began < 1


async def test_vanish(client: Twin, ws: Session) -> None:
    await ws.vanish()
    assert ws.close_code == 1006
    for call in (ws.receive, ws.ping):
        with pytest.raises(WebSocketDisconnect) as caught:
            await call()
        assert caught.value.code == 1006
    await ws.close()  # waits for the handler
    assert log == [(1006, "")]


async def test_ping(ws: Session) -> None:
    await ws.ping()
    await ws.ping(b"payload")
    await ws.send_text("between")
    await ws.ping(b"again")
    assert await ws.receive() == "between"


async def test_what_no_client_should_send(ws: Session) -> None:
    await ws.send_raw(b"\x83\x80\0\0\0\0")
    assert await ws.wait_closed() == CloseCode.PROTOCOL_ERROR


async def test_a_server_that_does_not_read(kind: str) -> None:
    async with open_twin(kind, api, timeout=0.1) as quick:
        ws = await quick.connect("/deaf")

        async def flood() -> None:
            for _ in range(100):
                await ws.send_bytes(bytes(200_000))

        with pytest.raises(TimeoutError, match=r"did not read for 0\.1 s: the handler of /deaf"):
            await flood()


async def test_a_representation(client: Twin) -> None:
    ws = await client.connect("/echo?token=secret")
    assert "/echo open>" in repr(getattr(ws, "session", ws))
    await ws.close(4000)
    assert "/echo closed with 4000>" in repr(getattr(ws, "session", ws))


def test_the_blocking_one_iterates_too() -> None:
    with TestClient(api) as client:
        assert list(client.websocket_connect("/count/2")) == ["0", "1", b"end"]
