from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable

import pytest

from django_bolt.auth import never_blocks
from django_bolt.auth.calls import call
from django_bolt.threads import run_in_thread


def in_thread() -> threading.Thread:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    return threading.current_thread()


@never_blocks
def on_loop() -> threading.Thread:
    return threading.current_thread()


async def on_loop_later() -> threading.Thread:
    await asyncio.sleep(0)
    return threading.current_thread()


@never_blocks
def on_loop_by_coroutine() -> Awaitable[threading.Thread]:
    return on_loop_later()


def in_thread_by_coroutine() -> Awaitable[threading.Thread]:
    in_thread()
    return on_loop_later()


class Base:
    @never_blocks
    def method(self) -> threading.Thread:
        return threading.current_thread()


class Overriding(Base):
    def method(self) -> threading.Thread:
        return in_thread()


async def test_a_plain_function_runs_in_a_thread() -> None:
    here = threading.current_thread()
    assert await call(in_thread) is not here
    assert await run_in_thread(in_thread) is not here


@pytest.mark.parametrize(
    "function", [on_loop, on_loop_later, on_loop_by_coroutine, in_thread_by_coroutine, Base().method]
)
async def test_what_never_blocks_runs_on_the_loop(function: object) -> None:
    assert await call(function) is threading.current_thread()  # type: ignore[arg-type]


async def test_the_mark_is_not_inherited_by_a_method_that_overrides() -> None:
    assert await call(Overriding().method) is not threading.current_thread()


async def test_arguments_and_exceptions_pass() -> None:
    assert await call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await call(divmod, 7, 0)
