"""The broker of a process that serves no connections: a shell, a management command, a Celery worker."""

from __future__ import annotations

import os
import sys
import threading

from django_bolt.conf import BoltSettings, bolt_settings
from django_bolt.topics.brokers import Broker, make_broker

__all__ = ["make_server_broker", "make_test_broker", "process_broker"]

ALONE = "memory://"


class _Kept:
    lock = threading.RLock()  # A signal handler that publishes may interrupt who has it.
    settings: BoltSettings | None = None
    broker: Broker | None = None

    @classmethod
    def renew(cls) -> None:
        """Let go of the lock in the child after a fork: a thread that is not here may have it."""
        cls.lock = threading.RLock()


os.register_at_fork(after_in_child=_Kept.renew)


def process_broker() -> Broker:
    """Return the broker to publish with; made when first needed, and anew when the settings change.

    Raises:
        ImproperlyConfigured: ``BOLT["BROKER"]`` names no broker.
    """
    settings = bolt_settings()
    with _Kept.lock:
        if _Kept.broker is None or _Kept.settings is not settings:
            make = make_test_broker if _is_under_test() else make_server_broker
            _Kept.broker, _Kept.settings = make(settings), settings
        return _Kept.broker


def make_server_broker(settings: BoltSettings) -> Broker:
    """Make the broker that the settings name."""
    return make_broker(settings.broker, settings)


def make_test_broker(settings: BoltSettings) -> Broker:
    """Make a broker for tests: they must not reach the server that a developer runs beside them.

    What runs on this machine is reached by ``local://``; another broker was chosen for the tests with care.
    """
    is_local = settings.broker.startswith("local:")
    return make_broker(ALONE if is_local else settings.broker, settings)


def _is_under_test() -> bool:
    """Whether Django's own runner or pytest-django has set the environment of tests up.

    ``mail.outbox`` does not tell: it is also where a site outside of tests keeps its mails in memory.
    """
    module = sys.modules.get("django.test.utils")  # who runs tests has imported it
    return hasattr(getattr(module, "_TestState", None), "saved_data")
