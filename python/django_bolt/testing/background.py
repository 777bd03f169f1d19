"""An event loop in a thread of its own, with the native core on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from django_bolt import _core
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.server.native import make_reactor

__all__ = ["BackgroundServer"]

T = TypeVar("T")

STOP_TIMEOUT = 10.0
"""Seconds in which handlers must end once they are cancelled."""


class BackgroundServer:
    """Serves a dispatcher in a thread, for connections that are handed to it.

    Args:
        dispatcher: Gets each opening handshake.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="django-bolt-test-server", daemon=True)
        self._reactor: _core.Reactor | None = None

    @property
    def reactor(self) -> _core.Reactor:
        """The reactor; use it on the loop's thread only.

        Raises:
            RuntimeError: The server does not run.
        """
        if self._reactor is None:
            raise RuntimeError("The test server does not run: use the client in a with statement.")
        return self._reactor

    def start(self) -> None:
        """Start the thread; returns when the server is ready."""
        self._thread.start()
        self.call(self._start_reactor)

    def stop(self) -> None:
        """Cancel the handlers that still run, wait for them, and end the thread.

        Raises:
            RuntimeError: A handler does not end.
        """
        try:
            asyncio.run_coroutine_threadsafe(self._stop_handlers(), self.loop).result(STOP_TIMEOUT + 1)
        finally:
            self.call(self.reactor.close)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self._reactor = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on the loop's thread and return its result."""

        async def run() -> T:
            return function(*arguments)

        return self.run(run())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _start_reactor(self) -> None:
        self._reactor = make_reactor(self.loop, self.dispatcher, bolt_settings())
        self._reactor.start()

    async def _stop_handlers(self) -> None:
        tasks = set(self.dispatcher.tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, running = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        if running:
            raise RuntimeError(
                f"{len(running)} handlers did not end within {STOP_TIMEOUT:g} s of being cancelled"
            )
