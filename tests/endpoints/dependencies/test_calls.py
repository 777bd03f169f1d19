from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from django_bolt import HTTPException
from django_bolt.endpoints.dependencies.calls import Cleanup, runner_of, yields

name: ContextVar[str] = ContextVar("name", default="nobody")


def plain(a: int) -> tuple[int, int]:
    return a, threading.get_ident()


async def coroutine(a: int) -> tuple[int, int]:
    return a, threading.get_ident()


def generator(a: int) -> Iterator[tuple[int, int]]:
    yield a, threading.get_ident()


async def async_generator(a: int) -> AsyncIterator[tuple[int, int]]:
    yield a, threading.get_ident()


class Class:
    def __init__(self, a: int) -> None:
        self.a = a
        self.thread = threading.get_ident()

    def __iter__(self) -> Iterator[int]:
        return iter((self.a, self.thread))


class Plain:
    def __call__(self, a: int) -> tuple[int, int]:
        return plain(a)


class Coroutine:
    async def __call__(self, a: int) -> tuple[int, int]:
        return await coroutine(a)

    def method(self, a: int) -> Iterator[tuple[int, int]]:
        yield from generator(a)


class AsyncGenerator:
    async def __call__(self, a: int) -> AsyncIterator[tuple[int, int]]:
        yield a, threading.get_ident()


async def run(call: Callable[..., Any], cleanups: list[Cleanup] | None = None, **arguments: Any) -> Any:
    return await runner_of(call)(arguments, [] if cleanups is None else cleanups)


IN_THREAD: list[Any] = [plain, generator, Class, Plain(), Coroutine().method, functools.partial(generator)]
ON_LOOP: list[Any] = [coroutine, async_generator, Coroutine(), AsyncGenerator(), functools.partial(coroutine)]
YIELDING: list[Any] = [IN_THREAD[1], *IN_THREAD[4:], ON_LOOP[1], ON_LOOP[3]]


@pytest.mark.parametrize("call", IN_THREAD, ids=lambda call: type(call).__name__)
async def test_what_may_block_runs_in_a_thread(call: Any) -> None:
    a, thread = await run(call, a=5)
    assert a == 5
    assert thread != threading.get_ident()


@pytest.mark.parametrize("call", ON_LOOP, ids=lambda call: type(call).__name__)
async def test_what_awaits_runs_on_the_event_loop(call: Any) -> None:
    assert await run(call, a=5) == (5, threading.get_ident())


def test_generators_are_told_from_the_rest() -> None:
    assert [call for call in IN_THREAD + ON_LOOP if yields(call)] == YIELDING


@pytest.mark.parametrize("call", IN_THREAD + ON_LOOP, ids=lambda call: type(call).__name__)
async def test_only_generators_leave_something_to_do(call: Any) -> None:
    cleanups: list[Cleanup] = []
    await run(call, cleanups, a=5)
    assert [cleanup.call for cleanup in cleanups] == ([call] if yields(call) else [])
    for cleanup in cleanups:
        await cleanup.leave(None, None, None)


async def test_a_coroutine_that_a_plain_function_returns_is_awaited() -> None:
    def plain(a: int) -> Any:
        return coroutine(a)

    assert await run(plain, a=5) == (5, threading.get_ident())


async def test_the_context_goes_along_into_threads_and_back() -> None:
    def introduce() -> Iterator[str]:
        before = name.get()
        name.set("ben")
        yield before
        assert name.get() == "ann"

    cleanups: list[Cleanup] = []
    name.set("eve")
    assert await run(introduce, cleanups) == "eve"
    assert name.get() == "ben"
    name.set("ann")
    await cleanups[0].leave(None, None, None)


@pytest.mark.parametrize("kind", [HTTPException(418), LookupError("x"), StopIteration(), KeyboardInterrupt()])
async def test_what_is_raised_in_a_thread_is_raised_here(kind: BaseException) -> None:
    def plain() -> None:
        raise kind

    def generator() -> Iterator[None]:
        raise kind
        yield

    expected = RuntimeError if isinstance(kind, StopIteration) else type(kind)
    for call in (plain, generator):
        with pytest.raises(expected):
            await run(call)


async def test_a_generator_in_a_thread_is_thrown_what_was_raised() -> None:
    seen: list[BaseException] = []

    def watching() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(error)
            raise

    for error in (LookupError("x"), asyncio.CancelledError(), StopIteration()):
        cleanups: list[Cleanup] = []
        await run(watching, cleanups)
        await cleanups[0].leave(type(error), error, None)
        assert seen.pop() is error


async def test_a_generator_that_is_cancelled_while_it_begins_is_ended() -> None:
    began, may_go_on = threading.Event(), threading.Event()
    events: list[str] = []

    def slow() -> Iterator[None]:
        began.set()
        assert may_go_on.wait(5)
        events.append("begun")
        yield
        events.append("ended")

    cleanups: list[Cleanup] = []
    task = asyncio.create_task(run(slow, cleanups))
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    await cleanups[0].leave(None, None, None)
    assert events == ["begun", "ended"]


async def test_a_generator_that_never_began_does_not_begin_after_its_end() -> None:
    events: list[str] = []

    def never() -> Iterator[None]:
        events.append("begun")
        yield

    cleanups: list[Cleanup] = []
    running = runner_of(never)({}, cleanups)
    task = asyncio.ensure_future(running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (events, cleanups) == ([], [])


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_generator_that_yields_twice_or_never_is_an_error(kind: str) -> None:
    def twice() -> Iterator[None]:
        yield
        yield

    def never() -> Iterator[None]:
        yield from ()

    async def async_twice() -> AsyncIterator[None]:
        yield
        yield

    async def async_never() -> AsyncIterator[None]:
        for _ in ():
            yield

    cleanups: list[Cleanup] = []
    await run(twice if kind == "plain" else async_twice, cleanups)
    with pytest.raises(RuntimeError, match="didn't stop"):
        await cleanups[0].leave(None, None, None)
    with pytest.raises(RuntimeError, match="didn't yield"):
        await run(never if kind == "plain" else async_never)
