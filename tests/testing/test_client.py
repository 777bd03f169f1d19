from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, EndpointCollision, WebSocket, WebSocketDisconnect, WebSocketState
from django_bolt.testing import HandshakeRejected, TestClient

api = BoltAPI()
seen: list[str] = []
everybody: set[WebSocket] = set()


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    seen.clear()
    everybody.clear()


@api.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@api.websocket("/request/{name}")
async def request(websocket: WebSocket, name: str, count: int = 0, tag: list[str] | None = None) -> None:
    await websocket.accept()
    await websocket.send_json(
        {
            "name": name,
            "count": count,
            "tag": tag,
            "url": websocket.url,
            "x": [value for key, value in websocket.raw_headers if key == "x-test"],
            "cookies": websocket.cookies,
            "subprotocols": websocket.subprotocols,
            "client": websocket.client,
            "thread": threading.current_thread().name,
        }
    )


@api.websocket("/subprotocol")
async def subprotocol(websocket: WebSocket) -> None:
    await websocket.accept(websocket.subprotocols[-1], {"X-Answer": "42"})


@api.websocket("/broadcast")
async def broadcast(websocket: WebSocket) -> None:
    await websocket.accept()
    everybody.add(websocket)
    try:
        async for message in websocket.iter_text():
            for client in everybody:
                await client.send_text(message)
    finally:
        everybody.discard(websocket)


@api.websocket("/busy")
async def busy(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


@api.websocket("/tidy")
async def tidy(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await websocket.receive()
    except WebSocketDisconnect as error:
        await asyncio.sleep(0.01)
        seen.append(f"tidied up after {error.code}")


@api.websocket("/spawn")
async def spawn(websocket: WebSocket) -> None:
    await websocket.accept()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("background cancelled")
            raise

    websocket.context["task"] = asyncio.create_task(forever())


@api.websocket("/never")
async def never(websocket: WebSocket) -> None:
    await asyncio.sleep(60)


@api.websocket("/stubborn")
async def stubborn(websocket: WebSocket) -> None:
    await websocket.accept()
    for _ in range(2):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


def test_the_example_of_the_specification() -> None:
    with TestClient(api) as client, client.websocket_connect("/echo") as ws:
        ws.send_text("Hello")
        assert ws.receive_text() == "Hello"


def test_what_the_endpoint_sees_of_the_request() -> None:
    with TestClient(api, host="localhost") as client:
        ws = client.websocket_connect(
            "/request/ann?count=3",
            headers=[("X-Test", "1"), ("X-Test", "2")],
            cookies={"a": "1", "b": "2"},
            subprotocols=["chat", "superchat"],
            query={"tag": ["x", "y z"]},
        )
        assert ws.receive_json() == {
            "name": "ann",
            "count": 3,
            "tag": ["x", "y z"],
            "url": "ws://localhost/request/ann?count=3&tag=x&tag=y+z",
            "x": ["1", "2"],
            "cookies": {"a": "1", "b": "2"},
            "subprotocols": ["chat", "superchat"],
            "client": None,
            "thread": "django-bolt-test-server",
        }


def test_header_fields_as_a_mapping() -> None:
    with TestClient(api) as client:
        ws = client.websocket_connect("/request/ann", headers={"X-Test": "one"}, query={"count": 2})
        answer = ws.receive_json()
    assert (answer["x"], answer["count"], answer["tag"]) == (["one"], 2, None)


def test_subprotocol_and_response_headers() -> None:
    with TestClient(api) as client, client.websocket_connect("/subprotocol", subprotocols=["a", "b"]) as ws:
        assert ws.accepted_subprotocol == "b"
        assert ws.response_headers["x-answer"] == "42"


def test_no_subprotocol() -> None:
    with TestClient(api) as client, client.websocket_connect("/echo") as ws:
        assert ws.accepted_subprotocol is None


def test_a_refusal() -> None:
    with TestClient(api) as client:
        with pytest.raises(HandshakeRejected) as caught:
            client.websocket_connect("/nowhere")
        assert caught.value.status == 404
        assert caught.value.headers["content-type"] == "application/json"
        assert caught.value.json() == {"detail": "Not Found"}
        assert "HTTP 404" in str(caught.value)
        assert "Not Found" in str(caught.value)
        with pytest.raises(HandshakeRejected) as caught:
            client.websocket_connect("/request/ann?count=many")
        assert caught.value.status == 422
        assert caught.value.json()["errors"][0]["parameter"] == "count"


def test_a_refusal_fails_a_test_that_does_not_expect_it() -> None:
    assert issubclass(HandshakeRejected, AssertionError)


def test_several_connections_share_a_server() -> None:
    with (
        TestClient(api) as client,
        client.websocket_connect("/broadcast") as one,
        client.websocket_connect("/broadcast") as two,
        client.websocket_connect("/broadcast") as three,
    ):
        for ws in (one, two, three):
            ws.ping()  # its handler has taken it in
        two.send_text("to all")
        assert [ws.receive_text() for ws in (one, two, three)] == ["to all"] * 3


def test_several_apis() -> None:
    other = BoltAPI()

    @other.websocket("/other")
    async def other_endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("other")

    with TestClient(api, other) as client:
        assert client.websocket_connect("/other").receive_text() == "other"
        client.websocket_connect("/echo").close()


def test_apis_that_collide() -> None:
    other = BoltAPI()

    @other.websocket("/echo")
    async def second(websocket: WebSocket) -> None:
        """Never reached."""

    with pytest.raises(EndpointCollision, match="second"):
        TestClient(api, other)


def test_without_an_api_it_serves_those_of_the_project() -> None:
    with override_settings(BOLT={"API": "tests.testing.test_client.api"}), TestClient() as client:
        ws = client.websocket_connect("/echo")
        ws.send_text("found")
        assert ws.receive() == "found"


def test_two_clients_at_once() -> None:
    with TestClient(api) as one, TestClient(api) as two:
        for client in (one, two):
            ws = client.websocket_connect("/echo")
            ws.send_text("a")
            assert ws.receive() == "a"


# ── outside of its with statement ─────────────────────────────────────────────────────────────────────────────────


def test_it_must_be_used_in_a_with_statement() -> None:
    client = TestClient(api)
    with pytest.raises(RuntimeError, match="with statement"):
        client.websocket_connect("/echo")
    with client:
        client.websocket_connect("/echo").close()
    with pytest.raises(RuntimeError, match="with statement"):
        client.websocket_connect("/echo")


def test_it_can_be_entered_again_but_not_twice() -> None:
    client = TestClient(api)
    for _ in range(2):
        with client:
            ws = client.websocket_connect("/echo")
            ws.send_text("again")
            assert ws.receive() == "again"
            with pytest.raises(RuntimeError, match="runs already"), client:
                pytest.fail("entered twice")
            client.websocket_connect("/echo").close()


def test_one_that_is_never_entered_leaves_nothing_open() -> None:
    """A loop or a socket left open would be a ResourceWarning here."""
    TestClient(api)
    gc.collect()


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@override_settings(BOLT={"MAX_MESSAGE_SIZE": 10})
def test_a_limit_of_the_settings() -> None:
    with TestClient(api) as client:
        ws = client.websocket_connect("/echo")
        ws.send_text("1234567890")
        assert ws.receive() == "1234567890"
        ws.send_text("12345678901")
        assert ws.wait_closed() == 1009


def test_overridden_settings_hold_only_inside() -> None:
    with override_settings(BOLT={"MAX_MESSAGE_SIZE": 10}), TestClient(api) as client:
        ws = client.websocket_connect("/echo")
        ws.send_text("x" * 11)
        assert ws.wait_closed() == 1009
    with TestClient(api) as client:
        ws = client.websocket_connect("/echo")
        ws.send_text("x" * 11)
        assert ws.receive() == "x" * 11


@override_settings(ALLOWED_HOSTS=["example.com"])
def test_allowed_hosts_of_the_settings() -> None:
    with TestClient(api) as client, pytest.raises(HandshakeRejected) as caught:
        client.websocket_connect("/echo")
    assert caught.value.status == 400
    with TestClient(api, host="example.com") as client:
        client.websocket_connect("/echo").close()


@override_settings(BOLT={"MAX_CONNECTIONS": 1})
def test_too_many_connections() -> None:
    with TestClient(api) as client:
        client.websocket_connect("/echo")
        with pytest.raises(HandshakeRejected) as caught:
            client.websocket_connect("/echo")
    assert caught.value.status == 503


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_handlers_that_still_run_are_cancelled() -> None:
    with TestClient(api) as client:
        client.websocket_connect("/busy")
    assert seen == ["cancelled"]


def test_tasks_that_handlers_started_are_cancelled() -> None:
    with TestClient(api) as client:
        assert client.websocket_connect("/spawn").wait_closed() == 1000
    assert seen == ["background cancelled"]


def test_a_handler_may_tidy_up_when_its_client_leaves() -> None:
    with TestClient(api) as client:
        client.websocket_connect("/tidy").close(4000)
        client.websocket_connect("/tidy")
    assert sorted(seen) == ["tidied up after 1006", "tidied up after 4000"]


def test_sets_of_connections_are_empty_at_the_end() -> None:
    with TestClient(api) as client:
        for _ in range(3):
            client.websocket_connect("/broadcast").ping()
        assert {websocket.state for websocket in everybody} == {WebSocketState.CONNECTED}
    assert everybody == set()


def test_a_handler_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_bolt.testing.background.STOP_TIMEOUT", 0.05)
    with pytest.raises(RuntimeError, match=r"did not end within 0\.05 s"), TestClient(api) as client:
        client.websocket_connect("/stubborn")


def test_the_thread_ends() -> None:
    with TestClient(api) as client:
        client.websocket_connect("/echo")
        assert "django-bolt-test-server" in {thread.name for thread in threading.enumerate()}
    assert "django-bolt-test-server" not in {thread.name for thread in threading.enumerate()}


def test_an_endpoint_that_does_not_answer() -> None:
    answer = r"Waited 0\.05 s for the answer to the opening handshake"
    with TestClient(api, timeout=0.05) as client, pytest.raises(TimeoutError, match=answer):
        client.websocket_connect("/never")


def test_it_is_quick() -> None:
    began = time.monotonic()
    for _ in range(20):
        with TestClient(api) as client, client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            assert ws.receive() == "a"
    assert time.monotonic() - began < 2


async def test_in_an_asynchronous_test() -> None:
    """It blocks, but has its own loop: the test's may run, too."""

    def in_a_thread() -> str | bytes:
        with TestClient(api) as client, client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            return ws.receive()

    assert await asyncio.to_thread(in_a_thread) == "a"
    assert in_a_thread() == "a"
