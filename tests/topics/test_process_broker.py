from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.connected_users import connected_users
from django_bolt.topics.brokers.memory import MemoryBroker
from django_bolt.topics.process_broker import _Kept, process_broker


def test_tests_do_not_reach_the_server_beside_them() -> None:
    assert bolt_settings().broker == "local://"
    assert isinstance(process_broker(), MemoryBroker)


def test_mails_that_are_kept_in_memory_make_no_test() -> None:
    program = """
import sys
from django.conf import settings
settings.configure(SECRET_KEY="x", EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend")
from django.core.mail import send_mail
send_mail("subject", "text", "a@example.com", ["b@example.com"])
import django.test.utils
from django_bolt.topics.process_broker import process_broker
print(type(process_broker()).__name__)
"""
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.split() == ["LocalBroker"]


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
