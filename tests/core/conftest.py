"""Every asynchronous test here runs on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.core.loopback import Handler, Server, hold

Serve = Callable[..., Server]


@pytest.hookimpl
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


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
