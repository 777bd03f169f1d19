from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date

import pytest

from django_bolt import BoltAPI, CloseCode, WebSocket, WebSocketDisconnect
from django_bolt.testing import TestClient, WebSocketTestSession

api = BoltAPI()
log: list[tuple[int, str]] = []


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


@api.websocket("/fails")
async def fails(websocket: WebSocket) -> None:
    await websocket.accept()
    raise LookupError("secret")


@api.websocket("/deaf")
async def deaf(websocket: WebSocket) -> None:
    await websocket.accept()
    await asyncio.sleep(60)


@pytest.fixture
def client() -> Iterator[TestClient]:
    log.clear()
    with TestClient(api, timeout=2) as client:
        yield client


@pytest.fixture
def ws(client: TestClient) -> WebSocketTestSession:
    return client.websocket_connect("/echo")


def test_text_and_bytes(ws: WebSocketTestSession) -> None:
    ws.send_text("é")
    ws.send_bytes(b"\x00")
    ws.send_text("")
    assert [ws.receive(), ws.receive(), ws.receive()] == ["é", b"\x00", ""]


def test_a_large_message(ws: WebSocketTestSession) -> None:
    ws.send_text("é" * 500_000)
    assert ws.receive_text() == "é" * 500_000


def test_json(client: TestClient) -> None:
    with client.websocket_connect("/json") as ws:
        ws.send_json({"day": date(2024, 2, 29), "items": [1, None, "é"]})
        assert ws.receive_json() == {"got": {"day": "2024-02-29", "items": [1, None, "é"]}}


def test_a_message_of_the_other_kind(ws: WebSocketTestSession) -> None:
    ws.send_text("text")
    with pytest.raises(AssertionError, match="Expected a binary message, got a text one: 'text'"):
        ws.receive_bytes()
    ws.send_bytes(b"bytes")
    with pytest.raises(AssertionError, match="Expected a text message, got a binary one: b'bytes'"):
        ws.receive_text()


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
def test_a_wait_in_vain_says_for_what(ws: WebSocketTestSession, method: str, awaited: str) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=rf"Waited 0\.02 s for {awaited}, in vain"):
        getattr(ws, method)(timeout=0.02)
    assert 0.01 < time.monotonic() - began < 1
    ws.send_text("still usable")
    assert ws.receive() == "still usable"


def test_the_timeout_of_the_client(client: TestClient) -> None:
    with TestClient(api, timeout=0.03) as quick:
        ws = quick.websocket_connect("/echo")
        with pytest.raises(TimeoutError, match=r"0\.03 s"):
            ws.receive()


def test_no_wait_at_all(ws: WebSocketTestSession) -> None:
    with pytest.raises(TimeoutError):
        ws.receive(timeout=0)


def test_iteration_ends_when_the_server_closes(client: TestClient) -> None:
    ws = client.websocket_connect("/count/3")
    assert list(ws) == ["0", "1", "2", b"end"]
    assert (ws.close_code, ws.close_reason) == (4000, "counted")
    assert list(ws) == []


def test_messages_before_the_close_are_received_first(client: TestClient) -> None:
    ws = client.websocket_connect("/count/1")
    assert ws.wait_closed() == 4000
    assert [ws.receive(), ws.receive()] == ["0", b"end"]
    with pytest.raises(WebSocketDisconnect) as caught:
        ws.receive()
    assert (caught.value.code, caught.value.reason) == (4000, "counted")


def test_a_failing_handler(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    ws = client.websocket_connect("/fails")
    with pytest.raises(WebSocketDisconnect) as caught:
        ws.receive()
    assert (caught.value.code, caught.value.reason) == (CloseCode.INTERNAL_ERROR, "")
    assert "LookupError: secret" in caplog.text


def test_sending_after_the_end(client: TestClient) -> None:
    ws = client.websocket_connect("/count/0")
    ws.wait_closed()
    for send in (lambda: ws.send_text("x"), lambda: ws.send_bytes(b"x"), lambda: ws.send_json(1), ws.ping):
        with pytest.raises(WebSocketDisconnect) as caught:
            send()
        assert caught.value.code == 4000
    ws.close()


def test_close(client: TestClient, ws: WebSocketTestSession) -> None:
    assert ws.close_code is None
    ws.close(4321, "gründe")
    assert (ws.close_code, ws.close_reason) == (4321, "")
    ws.close()
    client.websocket_connect("/echo").close(None)
    assert log == [(4321, "gründe"), (1005, "")]


def test_a_with_statement_closes(client: TestClient) -> None:
    with client.websocket_connect("/echo") as ws:
        assert ws.close_code is None
    assert ws.close_code == 1000
    assert log == [(1000, "")]


def test_a_with_statement_around_a_server_that_closes(client: TestClient) -> None:
    with client.websocket_connect("/count/0") as ws:
        assert ws.receive() == b"end"
    assert ws.close_code == 4000


def test_an_exception_in_a_with_statement_is_not_replaced_by_one_of_its_end(client: TestClient) -> None:
    began = time.monotonic()
    with pytest.raises(LookupError, match="of the test"), client.websocket_connect("/deaf"):
        raise LookupError("of the test")
    assert time.monotonic() - began < 1


def test_vanish(client: TestClient, ws: WebSocketTestSession) -> None:
    ws.vanish()
    assert ws.close_code == 1006
    for call in (lambda: ws.send_text("x"), ws.receive, ws.ping):
        with pytest.raises(WebSocketDisconnect) as caught:
            call()
        assert caught.value.code == 1006
    ws.close()
    deadline = time.monotonic() + 5
    while not log and time.monotonic() < deadline:
        time.sleep(0.001)
    assert log == [(1006, "")]


def test_ping(ws: WebSocketTestSession) -> None:
    ws.ping()
    ws.ping(b"payload")
    ws.send_text("between")
    ws.ping(b"again")
    assert ws.receive() == "between"


def test_what_no_client_should_send(ws: WebSocketTestSession) -> None:
    ws.send_raw(b"\x83\x80\0\0\0\0")
    assert ws.wait_closed() == 1002


def test_a_server_that_does_not_read(client: TestClient) -> None:
    with TestClient(api, timeout=0.1) as quick:
        ws = quick.websocket_connect("/deaf")

        def flood() -> None:
            for _ in range(100):
                ws.send_bytes(bytes(200_000))

        with pytest.raises(TimeoutError, match="did not read"):
            flood()
