"""An event loop in a thread of its own, with endpoints served on it."""

from __future__ import annotations

import asyncio
import socket
import threading

from django_bolt.testing.serving import LEAVE_TIMEOUT, STOP_TIMEOUT, Serving

__all__ = ["BackgroundServer"]

BLOCKED_TIMEOUT = LEAVE_TIMEOUT + STOP_TIMEOUT + 5.0
"""Seconds in which a loop that is not blocked has stopped serving."""


class BackgroundServer:
    """Serves in a thread, for clients that block. Can be started again.

    Args:
        serving: What to serve; it is used on the thread only.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; returns when the server is ready.

        Raises:
            RuntimeError: The server runs already.
        """
        if self._loop is not None:
            raise RuntimeError("The client is open already: one with statement at a time.")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=[self._loop], name="django-bolt-test-server", daemon=True
        )
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._serving.start(), self._loop).result()
        except BaseException:
            self._end_thread()
            raise

    def stop(self) -> list[BaseException]:
        """Stop serving and end the thread.

        Returns:
            What handlers have raised and nobody has taken.

        Raises:
            RuntimeError: A handler does not end.
        """
        if self._loop is None:
            return []
        stopping = asyncio.run_coroutine_threadsafe(self._serving.stop(owns_loop=True), self._loop)
        try:
            return stopping.result(BLOCKED_TIMEOUT)
        except TimeoutError:
            handlers = self._serving.dispatcher.describe_running()
            raise RuntimeError(
                f"The event loop did not go on for {BLOCKED_TIMEOUT:g} s: {handlers}"
            ) from None
        finally:
            self._end_thread()

    def connect(self) -> socket.socket:
        """Return the client's end of a new connection.

        Raises:
            RuntimeError: The server does not run.
        """
        if self._loop is None:
            raise RuntimeError("The client is not open: use it in a with statement.")
        server, client = socket.socketpair()
        # Not waited for: a handler may block the loop, which the opening handshake will tell when it times out.
        self._loop.call_soon_threadsafe(self._serving.adopt, server.detach())
        return client

    def _end_thread(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BLOCKED_TIMEOUT)
        self._loop = self._thread = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        _cancel_the_rest(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel, for the last time, tasks that did not end, which the test was told of."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=LEAVE_TIMEOUT))
