"""An event loop in a thread of its own, with the native core on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from django_bolt import _core
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.server.native import make_reactor
from django_bolt.topics.control import receive as receive_control
from django_bolt.topics.hub import Hub
from django_bolt.topics.process_broker import make_test_broker

__all__ = ["BackgroundServer"]

T = TypeVar("T")

LEAVE_TIMEOUT = 0.25
"""Seconds in which handlers may end by themselves once their clients have left."""
STOP_TIMEOUT = 10.0
"""Seconds in which handlers must end once they are cancelled."""


class BackgroundServer:
    """Serves a dispatcher in a thread, for connections that are handed to it. Can be started again.

    Args:
        dispatcher: Gets each opening handshake.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
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
        """Start the thread; returns when the server is ready.

        Raises:
            RuntimeError: The server runs already.
        """
        if self._loop is not None:
            raise RuntimeError("The test server runs already: one with statement at a time.")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=[self._loop], name="django-bolt-test-server", daemon=True
        )
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start_reactor(), self._loop).result()

    def stop(self) -> None:
        """Let the handlers end, cancel those that still run, wait for them, and end the thread.

        Raises:
            RuntimeError: A handler does not end.
        """
        if self._loop is None or self._thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._stop_tasks(), self._loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(self._hub.stop(), self._loop).result()
            self.call(self.reactor.close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = self._reactor = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on the loop's thread, as no task's business, and return its result."""
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(function(*arguments))
            except BaseException as error:
                outcome.set_exception(error)

        if self._loop is None:
            raise RuntimeError("The test server does not run: use the client in a with statement.")
        self._loop.call_soon_threadsafe(run)
        return outcome.result()

    async def _start_reactor(self) -> None:
        settings = bolt_settings()
        self._hub = Hub(make_test_broker(settings), receive_control)
        await self._hub.start()
        self._reactor = make_reactor(asyncio.get_running_loop(), self.dispatcher, settings, hub=self._hub)
        self._reactor.start()

    async def _stop_tasks(self) -> None:
        if self.dispatcher.tasks:
            # What a handler does when its client leaves is part of what is tested.
            await asyncio.wait(self.dispatcher.tasks, timeout=LEAVE_TIMEOUT)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, running = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        if running:
            names = ", ".join(sorted(task.get_name() for task in running))
            raise RuntimeError(f"Tasks did not end within {STOP_TIMEOUT:g} s of being cancelled: {names}")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
