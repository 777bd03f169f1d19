from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from django.test import override_settings

from django_bolt import threads
from django_bolt.threads import job_threads, run_in_thread, use_job_threads
from tests.test_thread_pool import TIMEOUT, Gate

# ── run_in_thread ────────────────────────────────────────────────────────────────────────────────────────


async def test_run_in_thread_returns_and_raises_as_the_function_does() -> None:
    assert await run_in_thread(int, "20", base=16) == 32
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_thread(int, "nothing")


async def test_it_runs_in_another_thread_without_an_event_loop() -> None:
    def look() -> tuple[bool, str]:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return threading.current_thread() is threading.main_thread(), threading.current_thread().name

    is_main, name = await run_in_thread(look)
    assert not is_main
    assert name.startswith("django-bolt-job-")


async def test_the_context_goes_with_it_and_comes_back() -> None:
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("before")

    def change() -> str:
        seen = variable.get()
        variable.set("after")
        return seen

    assert await run_in_thread(change) == "before"
    assert variable.get() == "after"


async def test_coroutines_of_the_loop_can_be_called_from_it() -> None:
    async def running_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert await run_in_thread(async_to_sync(running_loop)) is asyncio.get_running_loop()


async def call_while_handling(function: Callable[[], Any], call: Callable[..., Any]) -> tuple[Any, list[str]]:
    """Call a function while an exception is handled; returns its result, and the frames of that exception."""
    try:
        raise KeyError
    except KeyError as error:
        result = await call(function)
        return result, [frame.name for frame in traceback.extract_tb(error.__traceback__)]


async def test_an_exception_that_is_handled_meanwhile_keeps_no_frame_of_the_thread() -> None:
    use_job_threads()
    for call in (run_in_thread, lambda function: sync_to_async(function)()):
        handled, frames = await call_while_handling(sys.exception, call)
        assert isinstance(handled, KeyError)
        assert frames == ["call_while_handling"]


async def test_an_exception_that_is_handled_may_be_raised_by_the_function() -> None:
    def raise_it() -> None:
        handled = sys.exception()
        assert handled is not None
        raise handled

    with pytest.raises(KeyError) as raised:
        await call_while_handling(raise_it, run_in_thread)
    assert "run_in_thread" in [entry.name for entry in raised.traceback]


async def test_a_coroutine_function_is_refused() -> None:
    async def coroutine() -> None: ...

    with pytest.raises(TypeError):
        await run_in_thread(coroutine)


async def test_slow_calls_hold_up_others_only_at_the_limit() -> None:
    job_threads.retire(TIMEOUT)
    gates = [Gate(), Gate()]
    with override_settings(BOLT={"MAX_THREADS": 2}):
        first, second, third = (
            asyncio.create_task(run_in_thread(function)) for function in (*gates, partial(int, 3))
        )
        await asyncio.to_thread(gates[1].entered.wait, TIMEOUT)
        assert not third.done()
        gates[0].opened.set()
        assert await third == 3
        assert not second.done()
        gates[1].opened.set()
        assert await first is not await second


async def test_cancelling_leaves_a_running_function_alone() -> None:
    gate, ended = Gate(), threading.Event()

    def work() -> None:
        gate()
        ended.set()

    task = asyncio.create_task(run_in_thread(work))
    await asyncio.to_thread(gate.entered.wait, TIMEOUT)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    gate.opened.set()
    assert await asyncio.to_thread(ended.wait, TIMEOUT)


# ── sync_to_async ────────────────────────────────────────────────────────────────────────────────────────


async def test_thread_sensitive_calls_of_several_tasks_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    async def call() -> str:
        use_job_threads()
        await sync_to_async(both.wait)(TIMEOUT)
        return await sync_to_async(lambda: threading.current_thread().name)()

    names = await asyncio.gather(call(), call())
    assert all(name.startswith("django-bolt-job-") for name in names)


async def test_tasks_started_from_such_a_task_are_like_it() -> None:
    async def parent() -> str:
        use_job_threads()
        return await asyncio.create_task(sync_to_async(lambda: threading.current_thread().name)())

    assert (await asyncio.create_task(parent())).startswith("django-bolt-job-")


async def test_other_tasks_keep_the_thread_of_asgiref() -> None:
    await asyncio.create_task(_use_job_threads())
    name = await sync_to_async(lambda: threading.current_thread().name)()
    assert not name.startswith("django-bolt-job-")


async def test_what_a_thread_calls_on_the_loop_comes_back_to_that_thread() -> None:
    """As asgiref promises for code that goes from async to sync and back."""

    async def inner() -> int:
        return await sync_to_async(threading.get_ident)()

    def outer() -> bool:
        return async_to_sync(inner)() == threading.get_ident()

    async def call() -> bool:
        use_job_threads()
        return await sync_to_async(outer)()

    assert await asyncio.create_task(call())


@pytest.fixture
def other_asgiref(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An asgiref without the table of executors."""
    threads._register.cache_clear()
    monkeypatch.delattr(SyncToAsync, "context_to_thread_executor")
    yield
    threads._register.cache_clear()


async def test_an_asgiref_of_another_build_is_warned_of_once(
    other_asgiref: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert use_job_threads() is use_job_threads() is None
    assert [record.levelname for record in caplog.records if record.name == "django_bolt.threads"] == [
        "WARNING"
    ]


async def _use_job_threads() -> None:
    use_job_threads()
