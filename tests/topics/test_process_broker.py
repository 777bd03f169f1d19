from __future__ import annotations

import os
import signal
import threading
import warnings

from django_bolt.endpoints.connected_users import connected_users
from django_bolt.topics.process_broker import _Kept, process_broker


def test_a_child_of_a_fork_waits_for_no_thread_of_its_parent() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _Kept.lock, connected_users._lock:
            held.set()
            done.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks of processes with threads
        child = os.fork()
    if not child:
        signal.alarm(5)
        process_broker()
        os._exit(connected_users.close(1, 1000, ""))
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join(5)
    assert status == 0


def test_a_signal_handler_may_publish_while_the_broker_is_made() -> None:
    threading.Thread(target=signal_in_lock, daemon=True).start()
    assert entered.wait(5)


entered = threading.Event()


def signal_in_lock() -> None:
    with _Kept.lock:
        process_broker()
    entered.set()
