"""What only `AsyncTestClient` does: serve on the loop of the test."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import unittest
from typing import Any

import django.test
import pytest

from django_bolt import BoltAPI, WebSocket, WebSocketDisconnect
from django_bolt.testing import AsyncTestClient, AsyncWebSocketTestSession, HandshakeRejected
from tests.testing.sample_api import api, seen

mood: contextvars.ContextVar[str] = contextvars.ContextVar("mood", default="unset")
shared = BoltAPI()
events: dict[str, asyncio.Event] = {}


@shared.websocket("/shared")
async def share(websocket: WebSocket) -> None:
    await websocket.accept()
    events["arrived"].set()
    await events["go on"].wait()
    await websocket.send_text(mood.get())


async def exchange(*apis: BoltAPI) -> None:
    """What an asynchronous test does, in short."""
    async with AsyncTestClient(*apis or (api,)) as client:
        async with client.websocket_connect("/echo") as ws:
            await ws.send_text("Hello")
            assert await ws.receive_text() == "Hello"
            await ws.send_bytes(bytes(1_000_000))
            assert len(await ws.receive_bytes()) == 1_000_000
        assert ws.close_code == 1000


# ── the ways to connect ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_is_entered_or_awaited() -> None:
    async with AsyncTestClient(api) as client:
        async with client.websocket_connect("/echo") as entered:
            assert isinstance(entered, AsyncWebSocketTestSession)
        assert entered.close_code == 1000
        awaited = await client.websocket_connect("/echo")
        async with awaited as same:
            assert same is awaited
        assert awaited.close_code == 1000


async def test_a_refusal_when_entered() -> None:
    async with AsyncTestClient(api) as client:
        with pytest.raises(HandshakeRejected):
            async with client.websocket_connect("/nowhere"):
                pytest.fail("connected")


async def test_many_connect_at_once() -> None:
    async with AsyncTestClient(api) as client:
        sessions = await asyncio.gather(*(_connect(client, f"/request/{name}") for name in range(20)))
        names = [(await ws.receive_json())["name"] for ws in sessions]
    assert names == [str(name) for name in range(20)]


async def _connect(client: AsyncTestClient, path: str) -> AsyncWebSocketTestSession:
    return await client.websocket_connect(path)


# ── one loop ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_test_and_the_handler_share_a_loop_and_a_context() -> None:
    events.update({"arrived": asyncio.Event(), "go on": asyncio.Event()})
    token = mood.set("of the test")
    async with AsyncTestClient(shared) as client, client.websocket_connect("/shared") as ws:
        await asyncio.wait_for(events["arrived"].wait(), 5)
        events["go on"].set()
        assert await ws.receive_text() == "of the test"
    mood.reset(token)


async def test_tasks_of_the_test_are_left_alone() -> None:
    own = asyncio.create_task(asyncio.sleep(60))
    async with AsyncTestClient(api) as client:
        await client.websocket_connect("/busy")
    assert seen == ["cancelled"]
    assert not own.cancelled()
    assert not own.done()
    own.cancel()


async def test_pings_are_answered_while_the_test_awaits_something_else() -> None:
    with django.test.override_settings(BOLT={"PING_INTERVAL": 0.02, "PING_TIMEOUT": 0.02}):
        async with AsyncTestClient(api) as client, client.websocket_connect("/echo") as ws:
            await asyncio.sleep(0.15)
            assert ws.close_code is None
            await ws.send_text("still there")
            assert await ws.receive_text() == "still there"


async def test_the_end_is_noticed_while_the_test_awaits_something_else() -> None:
    async with AsyncTestClient(api) as client:
        ws = await client.websocket_connect("/spawn")
        async with asyncio.timeout(5):
            while ws.close_code is None:  # noqa: ASYNC110 - that it comes by itself is what is tested
                await asyncio.sleep(0.001)
        assert ws.close_code == 1000


async def test_a_cancelled_receive_loses_no_message() -> None:
    async with AsyncTestClient(api) as client, client.websocket_connect("/echo") as ws:
        for number in range(20):
            receiving = asyncio.create_task(ws.receive())
            await asyncio.sleep(0)
            await ws.send_text(str(number))
            await asyncio.sleep(0)
            receiving.cancel()
            received = (await asyncio.gather(receiving, return_exceptions=True))[0]
            if isinstance(received, asyncio.CancelledError):
                received = await ws.receive()
            assert received == str(number)


async def test_two_tasks_that_receive_get_one_message_each() -> None:
    async with AsyncTestClient(api) as client, client.websocket_connect("/echo") as ws:
        receiving = [asyncio.create_task(ws.receive()) for _ in range(2)]
        await asyncio.sleep(0)
        await ws.send_text("one")
        await ws.send_text("two")
        assert sorted([str(message) for message in await asyncio.gather(*receiving)]) == ["one", "two"]


async def test_vanishing_wakes_a_task_that_receives() -> None:
    async with AsyncTestClient(api) as client:
        ws = await client.websocket_connect("/echo")
        receiving = asyncio.create_task(ws.receive())
        await asyncio.sleep(0)
        await ws.vanish()
        with pytest.raises(WebSocketDisconnect) as caught:
            await receiving
        assert caught.value.code == 1006


def test_another_loop_than_that_of_the_test() -> None:
    with asyncio.Runner() as runner, asyncio.Runner() as other:
        client = AsyncTestClient(api)
        runner.run(client.__aenter__())
        with pytest.raises(RuntimeError, match=r"opened on another event loop.*loop scope"):
            other.run(_connect(client, "/echo"))
        runner.run(client.__aexit__(None, None, None))


async def test_outside_of_its_with_statement() -> None:
    with pytest.raises(RuntimeError, match="'async with' statement"):
        await AsyncTestClient(api).websocket_connect("/echo")


def test_on_no_loop_of_asyncio() -> None:
    opening = AsyncTestClient(api).__aenter__()
    with pytest.raises(RuntimeError, match="needs an event loop of asyncio"):
        opening.send(None)


# ── what runs asynchronous tests ──────────────────────────────────────────────────────────────────────────────────


def test_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(exchange())
        runner.run(flood())


async def flood() -> None:
    async with AsyncTestClient(api, timeout=0.05) as client:
        ws = await client.websocket_connect("/busy")
        with pytest.raises(TimeoutError, match="did not read"):
            await send_for_ever(ws)
        await ws.vanish()


async def send_for_ever(ws: AsyncWebSocketTestSession) -> None:
    while True:
        await ws.send_bytes(bytes(200_000))


def test_under_anyio() -> None:
    anyio = pytest.importorskip("anyio")
    anyio.run(exchange, backend="asyncio")


def run_case(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


@pytest.mark.parametrize("base", [django.test.SimpleTestCase, unittest.IsolatedAsyncioTestCase])
def test_in_a_test_case(base: type[Any]) -> None:
    class EchoTests(base):  # type: ignore[misc]
        async def test_echo(self) -> None:
            await exchange()

        async def test_error(self) -> None:
            async with AsyncTestClient(api) as client:
                await client.websocket_connect("/fails/before")

    result = run_case(EchoTests)
    assert result.testsRun == 2
    assert result.failures == []
    ((_, error),) = result.errors
    assert "LookupError: before accept" in error


def test_as_the_client_of_a_test_case() -> None:
    class EchoTests(django.test.SimpleTestCase):
        async_client_class = AsyncTestClient
        async_client: Any

        async def test_echo(self) -> None:
            async with self.async_client as client, client.websocket_connect("/echo") as ws:
                await ws.send_text("a")
                assert await ws.receive_text() == "a"

    with django.test.override_settings(BOLT={"API": "tests.testing.sample_api.api"}):
        result = run_case(EchoTests)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_with_eager_tasks() -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        await exchange()

    asyncio.run(run())
