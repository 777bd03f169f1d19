"""A bounded pool of threads whose database connections are looked after."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from django_bolt.database import (
    LINGER_TIME,
    close_connections,
    manage_connections,
    release_broken_connections,
    release_connections,
)
from django_bolt.exceptions import EnvironmentFailure

__all__ = ["IDLE_TIME", "NoThreadFree", "ThreadPool"]

P = ParamSpec("P")
T = TypeVar("T")

IDLE_TIME = 60.0
"""Seconds after which a thread without work ends, and its database connections with it."""


@dataclass(slots=True)
class _Job:
    """A call to make in a thread.

    Attributes:
        call: It.
        future: Takes its outcome.
        owner: Number of the task that it is made for; None if that is not known.
        handled: The exception that is being handled where the call is asked for.
        traceback: Its traceback there. asgiref raises it in the thread, for `sys.exc_info`; the frames there would
            hold it, and it them: a reference cycle, which keeps a connection until the garbage collector comes.
    """

    call: Callable[[], Any]
    future: Future[Any]
    owner: int | None
    handled: BaseException | None
    traceback: TracebackType | None

    error: BaseException | None = None
    result: Any = None

    def run(self) -> bool:
        """Make the call; returns False if it was taken back."""
        if not self.future.set_running_or_notify_cancel():
            return False
        try:
            with manage_connections():
                self.result = self.call()
        except BaseException as error:
            self.error = error
        finally:
            if self.handled is not None and self.handled is not self.error:
                self.handled.__traceback__ = self.traceback
            del self.handled, self.traceback
        return True

    def deliver(self) -> None:
        """Give the outcome to who waits for it."""
        future, error, result = self.future, self.error, self.result
        del self.future, self.error, self.result  # The exception's traceback holds this job.
        try:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        finally:
            del future, error, result


class NoThreadFree(EnvironmentFailure):
    """All threads of a pool in which nothing waits are busy."""


class ThreadPool(Executor):
    """Runs jobs in threads, which begin when they are needed and end when they are not.

    Unlike those of `concurrent.futures.ThreadPoolExecutor` they are daemons: a job that never returns does not keep
    the process from ending. Database connections are looked after; see `django_bolt.database`. So that the calls that
    a task makes one after the other share them, a thread that has just worked for the task is taken first; then the
    one that rested least, so that the others may end.

    Args:
        name: Prefix of the threads' names.
        limit: Returns how many threads there may be; asked when one more would be needed.
        waits: Whether a job waits for a thread where none is free.
    """

    def __init__(self, name: str, limit: Callable[[], int], *, waits: bool = True) -> None:
        self._name = name
        self._limit = limit
        self._waits = waits
        self.renew()
        _pools.add(self)

    def renew(self) -> None:
        """Begin without threads, as in the child after a fork: those of the parent are not here."""
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._backlog: deque[_Job] = deque()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a job as soon as a thread is free; jobs begin in the order of their submission.

        Raises:
            NoThreadFree: No thread is free, and nothing waits in this pool.
        """
        future: Future[T] = Future()
        job = _Job(partial(fn, *args, **kwargs), future, _find_owner(), *_find_handled())
        with self._lock:
            if not self._assign(job):
                if not self._waits:
                    raise NoThreadFree
                self._backlog.append(job)
        return future

    def retire(self, timeout: float | None = None) -> None:
        """End the threads that have no work, and wait until they have closed their database connections."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._workers.difference_update(idle)
        for worker in idle:
            worker.inbox.put(None)
        for worker in idle:
            worker.join(timeout)

    def _assign(self, job: _Job) -> bool:
        worker = self._find_idle(job.owner)
        if worker is None:
            return False
        worker.inbox.put(job)
        return True

    def _find_idle(self, owner: int | None) -> _Worker | None:
        """Return a thread for a job: that of its owner, one that has no owner, a new one, anybody's."""
        for wanted in (owner, None):
            for worker in reversed(self._idle):
                if worker.owner == wanted:
                    self._idle.remove(worker)
                    return worker
        if len(self._workers) < self._limit():
            worker = _Worker(self, self._name)
            worker.start()
            self._workers.add(worker)  # Only if it could be started; it needs the lock before it ends.
            return worker
        return self._idle.pop() if self._idle else None

    def rest(self, worker: _Worker) -> None:
        """Take a thread back that is about to be free; what waits is given to it."""
        with self._lock:
            if self._backlog:
                worker.inbox.put(self._backlog.popleft())
            else:
                self._idle.append(worker)

    def leave(self, worker: _Worker) -> bool:
        """Let a thread go that had no work for long; returns False if it has been given some."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            self._workers.discard(worker)
            return True


_pools: WeakSet[ThreadPool] = WeakSet()


def _renew_pools() -> None:
    for pool in tuple(_pools):
        pool.renew()


os.register_at_fork(after_in_child=_renew_pools)


class _Worker(threading.Thread):
    """One thread of a pool.

    Attributes:
        inbox: Takes the next job, or None to end.
        owner: Number of the task that it worked for last; None once its database connections are released.
    """

    def __init__(self, pool: ThreadPool, name: str) -> None:
        super().__init__(daemon=True)
        self.name = f"{name}-{self.name.rpartition('-')[2]}"
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self.owner: int | None = None
        self._pool = pool

    def run(self) -> None:
        job = self.inbox.get()
        try:
            while job is not None:
                self._prepare(job.owner)
                has_run = job.run()
                # Before its outcome is known: who waits for it may have the next job, which is for this thread.
                self._pool.rest(self)
                if has_run:
                    job.deliver()
                del job  # What it holds shall not outlive it while the thread rests.
                job = self._next_job()
        finally:
            close_connections()

    def _next_job(self) -> _Job | None:
        """Wait for a job; None ends the thread."""
        try:
            return self.inbox.get(timeout=LINGER_TIME if self.owner else 0)
        except Empty:
            self.owner = None
            release_connections()
        try:
            return self.inbox.get(timeout=IDLE_TIME)
        except Empty:
            return None if self._pool.leave(self) else self.inbox.get()

    def _prepare(self, owner: int | None) -> None:
        if owner is not None and owner == self.owner:
            release_broken_connections()
        else:
            release_connections()
        self.owner = owner


def _find_handled() -> tuple[BaseException | None, TracebackType | None]:
    handled = sys.exception()
    return handled, handled.__traceback__ if handled else None


def _find_owner() -> int | None:
    """Return a number for the running task, so that what it asks for in a row can be told from other things."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # Not on an event loop.
        return None
    return None if task is None else id(task)
