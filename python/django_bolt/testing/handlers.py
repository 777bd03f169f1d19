"""What the handlers do that serve the connections of a test: for the test to await, to raise and to tell of."""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import django_bolt
from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.endpoints.outcome import error_observers
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import WrongState

__all__ = ["HandlerRecord", "ObservedDispatcher", "raise_errors"]

PACKAGE = str(Path(django_bolt.__file__).parent)


class HandlerRecord:
    """One connection as the server has it.

    Holds neither the connection nor its task, so that both end as they do in production.

    Attributes:
        error: What the handler raised, if the client was told of an internal error (500 or 1011) for it.
        ended: Done once the handler has ended.
    """

    def __init__(self, websocket: WebSocket, task: asyncio.Task[None] | None) -> None:
        self.error: BaseException | None = None
        self.ended: Future[None] = Future()
        self._subject = websocket.path
        with suppress(WrongState):  # One that is refused has no endpoint.
            self._subject = f"the handler of {websocket.path}, {websocket.endpoint.location},"
        self._thread = threading.get_ident()
        self._websocket = weakref.ref(websocket)
        self._task = weakref.ref(task) if task else None
        if task is None:
            self.ended.set_result(None)
        else:
            task.add_done_callback(lambda task: self.ended.set_result(None))

    def take_error(self) -> BaseException | None:
        """Return the error the first time, so that it is raised once."""
        error, self.error = self.error, None
        return error

    def describe(self) -> str:
        """Say in a sentence what the handler does now; may be called from any thread."""
        if self.ended.done():
            return f"{self._subject} has ended"
        websocket, task = self._websocket(), self._task() if self._task else None
        is_connecting = websocket is not None and websocket.state is WebSocketState.CONNECTING
        place = _describe_place(task.get_coro(), self._thread) if task else ""
        return f"{self._subject} still runs{' and has not accepted' if is_connecting else ''}{place}"


class ObservedDispatcher(Dispatcher):
    """A dispatcher that keeps a record of each handler, from `observe` to `disregard`."""

    def __init__(self, apis: Iterable[BoltAPI]) -> None:
        super().__init__(apis)
        self._by_key: dict[str, HandlerRecord] = {}
        self._by_id: dict[int, HandlerRecord] = {}

    def __call__(self, websocket: WebSocket) -> None:
        """Begin to serve a connection."""
        before = set(self.tasks)
        super().__call__(websocket)
        started = self.tasks - before
        record = HandlerRecord(websocket, next(iter(started), None))
        self._by_id[websocket.id] = record
        self._by_key[dict(websocket.raw_headers).get("sec-websocket-key", "")] = record

    def record_of(self, key: str) -> HandlerRecord | None:
        """Return the record of the connection with a ``Sec-WebSocket-Key``; None before its opening handshake."""
        return self._by_key.get(key)

    def observe(self) -> None:
        """Begin to note what handlers raise."""
        error_observers.append(self._note_error)

    def disregard(self) -> list[BaseException]:
        """Forget everything; returns the errors that nobody has taken, in the order of their connections."""
        error_observers.remove(self._note_error)
        records = list(self._by_id.values())
        self._by_id.clear()
        self._by_key.clear()
        return [error for record in records if (error := record.take_error())]

    def describe_running(self) -> str:
        """Say what the handlers do that still run."""
        return "; ".join(record.describe() for record in self._by_id.values() if not record.ended.done())

    def _note_error(self, websocket: WebSocket, error: BaseException) -> None:
        # Every client of the process is told of every error; those of others are not in its records.
        if record := self._by_id.get(websocket.id):
            record.error = error


def raise_errors(errors: Sequence[BaseException], raised: BaseException | None) -> None:
    """Raise what handlers have raised and the test has not seen yet: one by itself, several as a group.

    Args:
        errors: What they have raised.
        raised: What the test itself raises; it goes first, and gets the errors as notes.
    """
    if raised is not None:
        for error in errors:
            raised.add_note(f"Before that, a handler raised {error!r}; its traceback was logged.")
    elif len(errors) == 1:
        raise errors[0]
    elif errors:
        raise BaseExceptionGroup("Handlers raised", errors)


def _describe_place(coroutine: Any, thread: int) -> str:
    """Say where a handler is in the code of the application."""
    is_executing = bool(coroutine.cr_running)
    frames = _executing_frames(coroutine, thread) if is_executing else _suspended_frames(coroutine)
    for frame in frames:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if not file.startswith(PACKAGE):
            source = linecache.getline(file, line).strip()
            state = "blocking its event loop" if is_executing else "waiting"
            return f", {state} at {file}:{line}" + (f": {source}" if source else "")
    return ""


def _suspended_frames(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames that await each other, from the outermost on."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield frame
        coroutine = coroutine.cr_await


def _executing_frames(coroutine: Any, thread: int) -> list[FrameType]:
    """Return the frames that a coroutine, which a thread executes, has called, from the outermost on."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)
    while frame is not None and frame is not coroutine.cr_frame:
        frames.insert(0, frame)
        frame = frame.f_back
    return frames if frame is not None else []
