"""Python code that runs in the middle of the core's work: collectors, destructors, contexts, failing allocations."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_bolt import _core
from tests.core.conftest import Serve
from tests.core.loopback import Peer, Server, echo, hold, settle, until

ROOT = Path(__file__).resolve().parents[2]

user = contextvars.ContextVar("user", default="nobody")


# ── contexts ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Newcomers:
    """Connections that come while the reactor's callbacks may run in somebody's context.

    Attributes:
        seen: The value of ``user`` wherever the reactor called us.
    """

    def __init__(self, serve: Serve, **options: Any) -> None:
        self.seen: list[str] = []
        self.server: Server = serve(self._handle, http=self._take_http, **options)

    async def _handle(self, ws: Peer) -> None:
        self.seen.append(user.get())
        await hold(ws)

    def _take_http(self, descriptor: int, *_: Any) -> None:
        self.seen.append(f"http: {user.get()}")
        os.close(descriptor)

    def dial(self, listener: socket.socket) -> None:
        """Connect twice and send heads, without a turn of the loop."""
        for is_http in (False, True):
            client = self.server.client()
            client.connection.close()
            client.connection = socket.create_connection(listener.getsockname())
            head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" if is_http else client.protocol.request()
            client.connection.sendall(head)


def run_as_alice(act: Callable[[], Any]) -> None:
    """Act as a task of a user's does."""
    context = contextvars.copy_context()
    context.run(user.set, "alice")
    context.run(act)


async def test_what_a_deadline_of_one_handler_starts_is_not_in_its_context(serve: Serve) -> None:
    """Heads that are there when the timer fires are read by the timer's callback."""
    loop, timeout = asyncio.get_running_loop(), 0.2
    newcomers = Newcomers(serve, close_timeout=timeout, ping_interval=0, handshake_timeout=0)
    server = newcomers.server
    _, ws = await server.open()
    with server.listen() as listener:
        newcomers.seen.clear()
        run_as_alice(ws.close)
        # Held up before, so that the heads come and the timer fires in one turn of the loop.
        loop.call_later(timeout - 0.06, time.sleep, 0.08)
        loop.call_later(timeout - 0.03, newcomers.dial, listener)
        await until(lambda: len(newcomers.seen) == 2)
        await until(lambda: server.reactor.counters["closed"] == 1)
    assert sorted(newcomers.seen) == ["http: nobody", "nobody"]


@pytest.mark.parametrize("cause", ["send", "close", "adopt", "fail"])
async def test_what_a_call_outside_of_a_batch_starts_is_not_in_its_context(serve: Serve, cause: str) -> None:
    newcomers = Newcomers(serve)
    server = newcomers.server
    _, ws = await server.open()
    acts: dict[str, Callable[[], Any]] = {
        "send": lambda: ws.send_text("a"),
        "close": ws.close,
        "adopt": server.client,
        "fail": lambda: ws.fail(1011),
    }
    with server.listen() as listener:
        newcomers.seen.clear()
        newcomers.dial(listener)
        run_as_alice(acts[cause])
        newcomers.dial(listener)
        await until(lambda: len(newcomers.seen) == 4)
    assert sorted(newcomers.seen) == ["http: nobody"] * 2 + ["nobody"] * 2


async def test_a_handler_s_variables_do_not_reach_who_gets_the_room_that_it_leaves(serve: Serve) -> None:
    """Accepting goes on when a connection ends: by whose callback it may be."""
    seen: list[str] = []

    async def handler(ws: Peer) -> None:
        seen.append(user.get())
        user.set("alice")
        await ws.accept_handshake(None, [])
        await ws.receive()
        await asyncio.sleep(0.005)  # beyond the batch
        ws.fail(1008)

    server = serve(handler, max_connections=1)
    with server.listen() as listener:
        for number in range(5):
            client = await (await server.connect(listener)).open()
            waiting = await server.connect(listener)
            await client.text("a")
            await client.rest()
            client.drop()
            await until(lambda: not server.peers)
            waiting.drop()
            assert seen == ["nobody"] * (number + 1)


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────

NO_MEMORY = """
import asyncio, sys
import _testcapi, uvloop
from tests.core.loopback import Server, echo


async def main():
    server = Server(echo)
    server.reactor.start()
    first, _ = await server.open()
    second, _ = await server.open()
    poll = server.reactor._poll
    first.connection.send(first.protocol.binary(bytes(3000)))
    error = None
    _testcapi.set_nomemory(0, 1)
    try:
        poll()  # wakes no handler, which could not run inside this task
    except BaseException as raised:
        error = raised
    finally:
        _testcapi.remove_mem_hooks()
    assert error is not None, "the allocation did not fail"
    await second.text("second")
    assert await second.message() == "second"
    await server.stop()


new_loop = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]]
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
print("done")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None,
    reason="this Python comes without _testcapi, which fails malloc",
)
@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
def test_a_failed_allocation_in_a_batch_loses_no_other_connection(loop_name: str) -> None:
    """In a process of its own, whose memory runs out."""
    done = subprocess.run(
        [sys.executable, "-c", NO_MEMORY, loop_name],
        cwd=ROOT,
        env=os.environ | {"RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=12,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# ── destructors and the collector ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """A collector that runs as often as it can."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("eager_collector")
async def test_the_collector_may_run_whatever_is_asked_of_the_reactor(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open()
    outcomes: list[BaseException | None] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                ws.send_text("from a destructor")
                assert server.reactor.counters["opened"] == 1
                assert server.reactor.connections() == [ws]
            except BaseException as error:
                outcomes.append(error)
            else:
                outcomes.append(None)

    for _ in range(200):
        Cycle()
        assert server.reactor.counters["opened"] == 1
        Cycle()
        assert server.reactor.connections() == [ws]
        Cycle()
        assert ws.raw_headers
    gc.set_threshold(0)
    gc.collect()
    assert outcomes == [None] * 600
    for _ in outcomes:
        assert await client.message() == "from a destructor"


class KeepingPeer(Peer):
    """A connection that can hold what holds it."""

    __slots__ = ("kept",)

    kept: Any


class KeepingServer(Server):
    """A server of such connections."""

    def __init__(self, keep: Callable[[KeepingPeer], Any]) -> None:
        super().__init__(self._handle)
        self.keep = keep
        self.references: list[weakref.ref[Peer]] = []
        self.reactor = _core.Reactor(self.loop, KeepingPeer, self._begin)

    async def _handle(self, ws: Peer) -> None:
        assert isinstance(ws, KeepingPeer)
        self.references.append(weakref.ref(ws))
        await ws.accept_handshake(None, [])
        ws.kept = self.keep(ws)
        async for _ in ws:
            pass


KEPT: dict[str, Callable[[KeepingPeer], Any]] = {
    "itself": lambda ws: [ws],
    "an iterator": lambda ws: ws.iter_text(),
    "an iterator with a decoder": lambda ws: ws.iter_decoded(lambda message: (ws, message)),
    "a receive": lambda ws: ws.receive(),
    "a receive with a decoder": lambda ws: ws.receive_decoded(lambda message: (ws, message)),
    "a step of an iterator": lambda ws: ws.iter_text().__anext__(),
    "a send": lambda ws: ws.send_text("a"),
}


@pytest.mark.parametrize("kept", KEPT)
async def test_a_connection_that_holds_its_own_awaitables_is_collected(kept: str) -> None:
    server = KeepingServer(KEPT[kept])
    server.reactor.start()
    for _ in range(5):
        client = await server.client().open()
        client.drop()
    await server.ended(5)
    await until(lambda: not server.tasks and not server.peers)
    await settle()
    server.outcomes.clear()
    gc.collect()
    assert [reference() for reference in server.references] == [None] * 5
    await server.stop()


async def test_a_callback_that_holds_its_awaitable_is_collected(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open()

    class Callback:
        awaitable: Any

        def __call__(self, _: Any) -> None:
            raise AssertionError("never called")

    callback = Callback()
    waiting: Any = ws.iter_text().__anext__()
    waiting.send(None)
    waiting.add_done_callback(callback)
    callback.awaitable = waiting
    reference = weakref.ref(callback)
    waiting.close()
    del callback, waiting
    gc.collect()
    assert reference() is None
    await client.end()


# ── awaitables by hand ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_done_callback_on_an_awaitable_that_was_woken_is_called_soon(serve: Serve) -> None:
    """As on a Future that is done; a scheduler other than asyncio's may ask so late."""
    got: list[Any] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        receiving: Any = ws.receive_text()
        future = receiving.send(None)
        await ws.send_text("ready")
        await until(future.done)
        future.add_done_callback(got.append)
        assert got == []  # soon, and not at once
        await until(lambda: got)
        with pytest.raises(StopIteration) as stopped:
            receiving.send(None)
        got.append(stopped.value.value)

    server = serve(handler)
    client = await server.client().open()
    assert await client.message() == "ready"
    await client.text("a")
    assert await server.ended() is None
    assert got[1:] == ["a"]


@pytest.mark.parametrize("seed", range(3))
async def test_no_message_is_lost_or_doubled_however_receives_are_cancelled(serve: Serve, seed: int) -> None:
    chance, count = random.Random(seed), 400
    got: list[str | bytes] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        messages = ws.iter_text()
        while len(got) < count:
            way, patience = chance.randrange(5), chance.choice([0, 1e-4, 1e-3])
            try:
                if way == 0:
                    got.append(await asyncio.wait_for(ws.receive_text(), patience))
                elif way == 1:
                    async with asyncio.timeout(patience):
                        got.append(await ws.receive_text())
                elif way == 2:
                    got.extend(await _receive_in_a_task_that_is_cancelled(ws, chance.randrange(3)))
                elif way == 3:
                    async with asyncio.timeout(patience):
                        got.append(await anext(messages))
                else:
                    got.append(await anext(messages))
            except TimeoutError:
                pass

    server = serve(handler)
    client = await server.client().open()
    for number in range(count):
        await client.text(str(number))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice([0, 0, 0, 1e-4, 5e-4]))
    assert await server.ended() is None
    assert got == list(map(str, range(count)))


async def _receive_in_a_task_that_is_cancelled(ws: Peer, turns: int) -> list[str]:
    task = asyncio.ensure_future(ws.receive_text())
    await settle(turns)
    task.cancel()
    try:
        return [await task]
    except asyncio.CancelledError:
        return []


async def test_the_echo_goes_on_while_the_collector_runs_all_the_time(
    serve: Serve, eager_collector: None
) -> None:
    server = serve(echo)
    client, _ = await server.open()
    for number in range(100):
        await client.text(str(number))
        assert await client.message() == str(number)
