from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_bolt.endpoints import call_queue
from django_bolt.endpoints.call_queue import CallQueue

TIMEOUT = 5.0


async def in_thread(function: Callable[[], object]) -> None:
    """Run a function in a thread that is not the loop's."""
    await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, function), TIMEOUT)


@pytest.fixture
async def queue() -> CallQueue:
    """The queue of the running loop."""
    return CallQueue.of(asyncio.get_running_loop())


async def test_calls_run_on_the_loop_in_their_order(queue: CallQueue) -> None:
    seen: list[object] = []

    def post() -> None:
        for number in range(100):
            queue.post(seen.append, number)
        queue.post(lambda: seen.append(threading.get_ident()))

    await in_thread(post)
    await asyncio.sleep(0)
    assert seen == [*range(100), threading.get_ident()]


async def test_the_loop_is_woken_once_for_calls_made_at_once(
    queue: CallQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, wakes, seen = asyncio.get_running_loop(), [], []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *a, **k: (wakes.append(a), wake(*a, **k)))
    thread = threading.Thread(target=lambda: [queue.post(seen.append, number) for number in range(50)])
    thread.start()
    thread.join(TIMEOUT)  # The loop does nothing meanwhile.
    assert len(wakes) == 1
    await asyncio.sleep(0)
    assert len(seen) == 50


async def test_each_loop_has_one_queue_that_ends_with_it(queue: CallQueue) -> None:
    assert CallQueue.of(asyncio.get_running_loop()) is queue

    def other() -> weakref.ref[CallQueue]:
        loop = asyncio.new_event_loop()
        try:
            return weakref.ref(CallQueue.of(loop))
        finally:
            loop.close()

    gone = other()
    gc.collect()
    assert gone() is None


async def test_calls_run_outside_of_the_context_of_the_thread(queue: CallQueue) -> None:
    variable, seen = contextvars.ContextVar("variable", default="default"), []

    def post() -> None:
        variable.set("of the thread")
        queue.post(lambda: seen.append(variable.get()))

    await in_thread(post)
    await asyncio.sleep(0)
    assert seen == ["default"]


async def test_an_exception_is_logged_and_does_not_keep_others_from_running(
    queue: CallQueue, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def post() -> None:
        queue.post(int, "nothing")
        queue.post(seen.append, 1)

    await in_thread(post)
    await asyncio.sleep(0)
    assert seen == [1]
    assert [record.levelno for record in caplog.records if record.name == "django_bolt.endpoint"] == [
        logging.ERROR
    ]


@pytest.mark.parametrize(("limit", "size"), [("MAX_CALLS", 0), ("MAX_SIZE", 1)])
async def test_a_thread_far_ahead_of_the_loop_waits_for_it(
    queue: CallQueue, monkeypatch: pytest.MonkeyPatch, limit: str, size: int
) -> None:
    monkeypatch.setattr(call_queue, limit, 10)
    made: list[int] = []

    def post() -> None:
        for number in range(100):
            queue.post(int, size=size)
            made.append(number)

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(post)
        while len(made) < 10:  # The loop does nothing meanwhile.
            threading.Event().wait(0.001)
        threading.Event().wait(0.02)
        assert len(made) == 10
        await asyncio.wait_for(asyncio.wrap_future(future), TIMEOUT)
    assert len(made) == 100


def test_calls_to_a_loop_that_has_ended_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_queue, "MAX_CALLS", 10)
    loop = asyncio.new_event_loop()
    queue = CallQueue(loop)
    assert not queue.is_closed
    loop.close()
    for _ in range(100):
        queue.post(pytest.fail, "must not run")
    assert queue.is_closed


def test_a_thread_that_waits_for_a_loop_goes_on_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_queue, "MAX_CALLS", 1)
    monkeypatch.setattr(call_queue, "POLL_TIME", 0.01)
    loop = asyncio.new_event_loop()
    queue = CallQueue(loop)
    thread = threading.Thread(target=lambda: [queue.post(int) for _ in range(3)])
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    loop.close()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
