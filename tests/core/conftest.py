"""Every asynchronous test here runs on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.core.loopback import Handler, Server, hold

Serve = Callable[..., Server]

TEST_TIMEOUT = 30
"""Seconds."""


@pytest.hookimpl
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Cancel a test that hangs: on uvloop the signal of pytest-timeout interrupts nothing."""
    if not inspect.iscoroutinefunction(request.function):
        yield
        return
    loop = request.getfixturevalue("running_loop")

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel("the test hangs")

    timer = threading.Timer(TEST_TIMEOUT, lambda: loop.call_soon_threadsafe(cancel_all))
    timer.start()
    yield
    timer.cancel()


@pytest.fixture
async def running_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that the test runs on."""
    return asyncio.get_running_loop()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that starts a reactor with a handler and options; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        def start(handler: Handler = hold, **options: Any) -> Server:
            server = Server(handler, **options)
            stack.push_async_callback(server.stop)
            server.reactor.start()
            return server

        yield start
