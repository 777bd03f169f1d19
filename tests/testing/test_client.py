"""What both test clients do; what only one does is in `test_async_client` and at the end of this."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.test import override_settings

from django_bolt import BoltAPI, EndpointCollision, WebSocket, WebSocketState
from django_bolt.testing import AsyncTestClient, HandshakeRejected, TestClient
from tests.testing.sample_api import api, everybody, seen
from tests.testing.twins import BLOCKING, open_twin


async def test_what_the_endpoint_sees_of_the_request(kind: str) -> None:
    async with open_twin(kind, api, host="localhost") as client:
        ws = await client.connect(
            "/request/ann?count=3",
            headers=[("X-Test", "1"), ("X-Test", "2")],
            cookies={"a": "1", "b": "2"},
            subprotocols=["chat", "superchat"],
            query={"tag": ["x", "y z"]},
        )
        answer = await ws.receive_json()
    thread = answer.pop("thread")
    assert answer == {
        "name": "ann",
        "count": 3,
        "tag": ["x", "y z"],
        "url": "ws://localhost/request/ann?count=3&tag=x&tag=y+z",
        "x": ["1", "2"],
        "cookies": {"a": "1", "b": "2"},
        "subprotocols": ["chat", "superchat"],
        "client": None,
    }
    own = threading.current_thread().name
    assert thread == ("django-bolt-test-server" if kind == BLOCKING else own)


async def test_subprotocol_and_response_headers(kind: str) -> None:
    async with open_twin(kind, api) as client:
        ws = await client.connect("/subprotocol", subprotocols=["a", "b"])
        assert ws.accepted_subprotocol == "b"
        assert ws.response_headers["x-answer"] == "42"
        assert (await client.connect("/echo")).accepted_subprotocol is None


async def test_compression_is_offered_when_asked_for(kind: str) -> None:
    async with open_twin(kind, api) as client:
        ws = await client.connect("/echo", compression=True)
        assert "permessage-deflate" in ws.response_headers["sec-websocket-extensions"]
        await ws.send_text("a" * 5000)
        assert await ws.receive_text() == "a" * 5000
        assert "sec-websocket-extensions" not in (await client.connect("/echo")).response_headers


async def test_a_refusal(kind: str) -> None:
    async with open_twin(kind, api) as client:
        with pytest.raises(HandshakeRejected) as caught:
            await client.connect("/nowhere")
        assert caught.value.status == 404
        assert caught.value.headers["content-type"] == "application/json"
        assert caught.value.body == b'{"detail":"Not Found"}'
        assert caught.value.json() == {"detail": "Not Found"}
        assert "HTTP 404" in str(caught.value)
        assert "Not Found" in str(caught.value)
        with pytest.raises(HandshakeRejected) as caught:
            await client.connect("/request/ann?count=many")
        assert caught.value.status == 422
        assert caught.value.json()["errors"][0]["parameter"] == "count"


def test_a_refusal_fails_a_test_that_does_not_expect_it() -> None:
    assert issubclass(HandshakeRejected, AssertionError)


async def test_several_connections_share_a_server(kind: str) -> None:
    async with open_twin(kind, api) as client:
        sessions = [await client.connect("/broadcast") for _ in range(3)]
        for ws in sessions:
            await ws.ping()  # its handler has taken it in
        await sessions[1].send_text("to all")
        assert [await ws.receive_text() for ws in sessions] == ["to all"] * 3


async def test_several_apis(kind: str) -> None:
    other = BoltAPI()

    @other.websocket("/other")
    async def other_endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("other")

    async with open_twin(kind, api, other) as client:
        assert await (await client.connect("/other")).receive_text() == "other"
        await (await client.connect("/echo")).close()


@pytest.mark.parametrize("client_class", [TestClient, AsyncTestClient])
def test_apis_that_collide(client_class: type[TestClient | AsyncTestClient]) -> None:
    other = BoltAPI()

    @other.websocket("/echo")
    async def second(websocket: WebSocket) -> None:
        """Never reached."""

    with pytest.raises(EndpointCollision, match="second"):
        client_class(api, other)


async def test_without_an_api_it_serves_those_of_the_project(kind: str) -> None:
    with override_settings(BOLT={"API": "tests.testing.sample_api.api"}):
        async with open_twin(kind) as client:
            ws = await client.connect("/echo")
            await ws.send_text("found")
            assert await ws.receive() == "found"


async def test_two_clients_at_once(kind: str) -> None:
    async with open_twin(kind, api) as one, open_twin(kind, api) as two:
        for client in (one, two):
            ws = await client.connect("/echo")
            await ws.send_text("a")
            assert await ws.receive() == "a"


# ── outside of its with statement ─────────────────────────────────────────────────────────────────────────────────


async def test_it_must_be_used_in_a_with_statement(kind: str) -> None:
    async with open_twin(kind, api) as client:
        await (await client.connect("/echo")).close()
    with pytest.raises(RuntimeError, match=r"The client is not open: use it in an? '?(async )?with"):
        await client.connect("/echo")


def test_a_blocking_client_can_be_entered_again_but_not_twice() -> None:
    client = TestClient(api)
    for _ in range(2):
        with client:
            with pytest.raises(RuntimeError, match="open already"), client:
                pytest.fail("entered twice")
            client.websocket_connect("/echo").close()


async def test_an_asynchronous_client_can_be_entered_again_but_not_twice() -> None:
    client = AsyncTestClient(api)
    for _ in range(2):
        async with client:
            with pytest.raises(RuntimeError, match="open already"):
                await client.__aenter__()
            await (await client.websocket_connect("/echo")).close()


@pytest.mark.parametrize("client_class", [TestClient, AsyncTestClient])
def test_one_that_is_never_entered_leaves_nothing_open(
    client_class: type[TestClient | AsyncTestClient],
) -> None:
    """A loop or a socket left open would be a ResourceWarning here."""
    client_class(api)
    gc.collect()


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_overridden_settings_hold_only_inside(kind: str) -> None:
    with override_settings(BOLT={"MAX_MESSAGE_SIZE": 10}):
        async with open_twin(kind, api) as client:
            ws = await client.connect("/echo")
            await ws.send_text("1234567890")
            assert await ws.receive() == "1234567890"
            await ws.send_text("12345678901")
            assert await ws.wait_closed() == 1009
    async with open_twin(kind, api) as client:
        ws = await client.connect("/echo")
        await ws.send_text("x" * 11)
        assert await ws.receive() == "x" * 11


@override_settings(ALLOWED_HOSTS=["example.com"])
async def test_allowed_hosts_of_the_settings(kind: str) -> None:
    async with open_twin(kind, api) as client:
        with pytest.raises(HandshakeRejected) as caught:
            await client.connect("/echo")
    assert caught.value.status == 400
    async with open_twin(kind, api, host="example.com") as client:
        await (await client.connect("/echo")).close()


@override_settings(BOLT={"MAX_CONNECTIONS": 1})
async def test_too_many_connections(kind: str) -> None:
    async with open_twin(kind, api) as client:
        await client.connect("/echo")
        with pytest.raises(HandshakeRejected) as caught:
            await client.connect("/echo")
    assert caught.value.status == 503


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_handlers_that_still_run_are_cancelled(kind: str) -> None:
    async with open_twin(kind, api) as client:
        await client.connect("/busy")
    assert seen == ["cancelled"]


async def test_tasks_that_handlers_started_are_cancelled_with_their_loop() -> None:
    async with open_twin(BLOCKING, api) as client:
        assert await (await client.connect("/spawn")).wait_closed() == 1000
    assert seen == ["background cancelled"]


async def test_a_handler_may_tidy_up_when_its_client_leaves(kind: str) -> None:
    async with open_twin(kind, api) as client:
        await client.connect("/tidy")
    assert seen == ["tidied up after 1006"]


async def test_sets_of_connections_are_empty_at_the_end(kind: str) -> None:
    async with open_twin(kind, api) as client:
        for _ in range(3):
            await (await client.connect("/broadcast")).ping()
        assert {websocket.state for websocket in everybody} == {WebSocketState.CONNECTED}
    assert everybody == set()


async def test_a_handler_that_does_not_end_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_bolt.testing.serving.STOP_TIMEOUT", 0.05)
    named = (
        r"Did not end within 0\.05 s of being cancelled: the handler of /stubborn, .*still runs, waiting at"
    )
    with pytest.raises(RuntimeError, match=named):
        async with open_twin(kind, api) as client:
            await client.connect("/stubborn")


def test_the_thread_ends() -> None:
    with TestClient(api) as client:
        client.websocket_connect("/echo")
        assert "django-bolt-test-server" in {thread.name for thread in threading.enumerate()}
    assert "django-bolt-test-server" not in {thread.name for thread in threading.enumerate()}


async def test_an_endpoint_that_does_not_answer(kind: str) -> None:
    answer = r"Waited 0\.05 s for the answer to the opening handshake, .* has not accepted, waiting at"
    async with open_twin(kind, api, timeout=0.05) as client:
        with pytest.raises(TimeoutError, match=answer):
            await client.connect("/never")


def test_it_is_quick() -> None:
    began = time.monotonic()
    for _ in range(20):
        with TestClient(api) as client, client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            assert ws.receive() == "a"
    assert time.monotonic() - began < 2


# ── on a running loop ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_blocking_client_on_a_running_loop_points_to_the_other() -> None:
    client = TestClient(api)
    with pytest.raises(SynchronousOnlyOperation, match="use AsyncTestClient in 'async def' tests"):
        client.__enter__()
    await asyncio.to_thread(client.__enter__)
    try:
        with pytest.raises(SynchronousOnlyOperation, match=r"await client\.websocket_connect"):
            client.websocket_connect("/echo")
    finally:
        client.__exit__(None, None, None)


async def test_a_blocking_client_in_a_thread_of_an_asynchronous_test() -> None:
    def in_a_thread() -> str | bytes:
        with TestClient(api) as client, client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            return ws.receive()

    assert await asyncio.to_thread(in_a_thread) == "a"
