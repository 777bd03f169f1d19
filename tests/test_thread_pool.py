from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress

import pytest

from django_bolt import thread_pool
from django_bolt.thread_pool import NoThreadFree, ThreadPool

TIMEOUT = 5.0


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    """A pool of two threads."""
    pool = ThreadPool("test", lambda: 2)
    yield pool
    pool.retire(TIMEOUT)


class Gate:
    """A job that says when it runs and waits to be let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> threading.Thread:
        self.entered.set()
        assert self.opened.wait(TIMEOUT)
        return threading.current_thread()


def test_a_job_returns_and_raises_as_the_function_does(pool: ThreadPool) -> None:
    assert pool.submit(divmod, 7, 2).result(TIMEOUT) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 7, 0).result(TIMEOUT)


def test_a_child_of_a_fork_has_threads_of_its_own(pool: ThreadPool) -> None:
    parent = pool.submit(threading.get_native_id).result(TIMEOUT)
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks of processes with threads
        child = os.fork()
    if not child:
        with suppress(BaseException):
            os.write(sender, str(pool.submit(threading.get_native_id).result(TIMEOUT)).encode())
        os._exit(0)
    os.close(sender)
    os.waitpid(child, 0)
    answer = os.read(receiver, 100)
    os.close(receiver)
    assert answer
    assert int(answer) != parent


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ThreadPool("test", lambda: 1)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(int)
    assert pool.submit(int).result(TIMEOUT) == 0
    pool.retire(TIMEOUT)


def test_jobs_run_at_the_same_time_up_to_the_limit_and_then_wait_in_order(pool: ThreadPool) -> None:
    gates = [Gate() for _ in range(4)]
    futures = [pool.submit(gate) for gate in gates]
    assert all(gate.entered.wait(TIMEOUT) for gate in gates[:2])
    assert not gates[2].entered.is_set()
    gates[0].opened.set()
    assert gates[2].entered.wait(TIMEOUT)
    assert not gates[3].entered.is_set()
    for gate in gates:
        gate.opened.set()
    assert len({future.result(TIMEOUT) for future in futures}) == 2


def test_a_pool_in_which_nothing_waits_says_when_it_is_full() -> None:
    pool = ThreadPool("test", lambda: 1, waits=False)
    gate = Gate()
    future = pool.submit(gate)
    with pytest.raises(NoThreadFree):
        pool.submit(pytest.fail, "must not run")
    gate.opened.set()
    future.result(TIMEOUT)
    pool.retire(TIMEOUT)


def test_the_limit_is_asked_each_time() -> None:
    limits = [1]
    pool = ThreadPool("test", lambda: limits[-1], waits=False)
    gates = [Gate(), Gate()]
    futures = [pool.submit(gates[0])]
    with pytest.raises(NoThreadFree):
        pool.submit(gates[1])
    limits.append(2)
    futures.append(pool.submit(gates[1]))
    assert gates[1].entered.wait(TIMEOUT)
    for gate, future in zip(gates, futures, strict=True):
        gate.opened.set()
        future.result(TIMEOUT)
    pool.retire(TIMEOUT)


def test_a_thread_is_used_again(pool: ThreadPool) -> None:
    first = pool.submit(threading.get_ident).result(TIMEOUT)
    while not pool._idle:
        time.sleep(0)
    assert pool.submit(threading.get_ident).result(TIMEOUT) == first


def test_a_job_taken_back_before_it_began_does_not_run(pool: ThreadPool) -> None:
    gates = [Gate(), Gate()]
    futures = [pool.submit(gate) for gate in gates]
    third = pool.submit(pytest.fail, "must not run")
    assert third.cancel()
    for gate, future in zip(gates, futures, strict=True):
        gate.opened.set()
        future.result(TIMEOUT)
    assert pool.submit(int).result(TIMEOUT) == 0


def test_a_thread_ends_when_it_has_rested_long_enough(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_pool, "IDLE_TIME", 0.01)
    worker = pool.submit(threading.current_thread).result(TIMEOUT)
    worker.join(TIMEOUT)
    assert not worker.is_alive()
    assert pool.submit(threading.current_thread).result(TIMEOUT) is not worker


def test_retired_threads_have_ended(pool: ThreadPool) -> None:
    worker = pool.submit(threading.current_thread).result(TIMEOUT)
    while not pool._idle:
        time.sleep(0)
    pool.retire(TIMEOUT)
    assert not worker.is_alive()


def test_a_job_that_never_ends_does_not_keep_the_process() -> None:
    script = (
        "import threading; from django_bolt.thread_pool import ThreadPool\n"
        "started = threading.Event()\n"
        "def hang():\n started.set()\n threading.Event().wait()\n"
        "from django.conf import settings; settings.configure()\n"
        "ThreadPool('test', lambda: 1).submit(hang); started.wait()\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
