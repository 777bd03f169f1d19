"""Calls of a connection's methods from other threads, which wait for the event loop to do them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any

from django_bolt.close_codes import CloseCode
from django_bolt.database import LINGER_TIME, release_connections
from django_bolt.endpoints.call_queue import CallQueue
from django_bolt.endpoints.sync_connection import SyncConnection
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import WebSocketDisconnect, WrongThread

__all__ = ["BlockingCalls", "Method"]

Method = Callable[..., Coroutine[Any, Any, Any]]

POLL_TIME = 10.0
"""Seconds between two looks whether the loop that is waited for still lives."""


class BlockingCalls(SyncConnection):
    """A connection whose methods another thread can call and wait for.

    Args:
        websocket: The connection; on the thread of its event loop.
    """

    __slots__ = ("_calls", "_context", "_tasks")

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._calls = CallQueue.of(asyncio.get_running_loop())
        self._context = copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()

    def give_up(self) -> None:
        """End what threads still wait for, as if the client had left; called on the loop's thread."""
        for task in self._tasks:
            task.cancel()

    def _call(self, method: Method, *arguments: Any) -> Any:
        """Have the loop call and await a method, and wait for it; returns its result."""
        self._require_other_thread()
        reply = self._begin(method, *arguments)
        try:
            self._is_answered(reply, None)
            return reply.result()
        finally:
            del reply

    def _begin(self, method: Method, *arguments: Any) -> Future[Any]:
        reply: Future[Any] = Future()
        self._calls.post(self._run, reply, method, arguments)
        return reply

    def _is_answered(self, reply: Future[Any], timeout: float | None) -> bool:
        """Wait for a reply, which a loop that has ended will never give; release database connections meanwhile."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        pause, has_paused = LINGER_TIME, False
        while not _wait(reply, min(pause, deadline - time.monotonic())):
            release_connections()
            if self._calls.is_closed:
                raise self._disconnect()
            if time.monotonic() >= deadline:
                return False
            pause, has_paused = POLL_TIME, True
        if has_paused:
            release_connections()  # What broke or grew too old in the meantime.
        return True

    def _run(self, reply: Future[Any], method: Method, arguments: tuple[Any, ...]) -> None:
        """Begin a call, on the loop's thread: as the handler does, so that own sends wait and raise as its do."""
        try:
            coroutine = self._context.run(method, *arguments)
        except Exception as error:
            reply.set_exception(error)
            return
        task = asyncio.get_running_loop().create_task(coroutine, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(partial(self._answer, reply))

    def _answer(self, reply: Future[Any], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            reply.set_exception(self._disconnect())
        elif error := task.exception():
            reply.set_exception(error)
        else:
            reply.set_result(task.result())

    def _disconnect(self) -> WebSocketDisconnect:
        code = self.close_code
        return WebSocketDisconnect(CloseCode.ABNORMAL_CLOSURE if code is None else code, self.close_reason)

    def _require_other_thread(self) -> None:
        if self._calls.is_own_thread:
            raise WrongThread(
                "A SyncWebSocket would block the event loop: coroutines use its attribute 'asynchronous'"
            )


def _wait(reply: Future[Any], timeout: float) -> bool:
    """Wait for the outcome of a future without taking it; returns whether it is there."""
    try:
        reply.exception(max(0.0, timeout))
    except TimeoutError:
        return reply.done()  # It may have come at the last moment.
    return True
