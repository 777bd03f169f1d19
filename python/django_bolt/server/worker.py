"""What a worker process runs."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from dataclasses import dataclass
from socket import socket

import django
from django.apps import apps
from django.conf import settings
from uvicorn.config import Config

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.server.access_log import configure_access_log
from django_bolt.server.asgi import get_application, has_own_application
from django_bolt.server.http import KeptAliveUpgrade
from django_bolt.server.listening import Address, bind_worker
from django_bolt.server.server import BoltServer

__all__ = ["Worker", "serve"]


@dataclass(frozen=True)
class Worker:
    """A worker under a parent process, which stops it by SIGTERM. Called in the new process.

    Attributes:
        address: Where to listen with a socket of its own; None: on the sockets that it is given.
    """

    address: Address | None = None

    def __call__(self, sockets: list[socket] | None = None) -> None:
        # A terminal sends Ctrl-C to parent and workers alike; what it means is the parent's to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.environ["RUN_MAIN"] = "true"  # what apps ask under `runserver` to tell parent and child apart
        if not apps.ready:
            django.setup()
        listeners = [bind_worker(self.address)] if self.address else list(sockets or ())
        serve(listeners, stop_signals=(signal.SIGTERM,))


def serve(listeners: list[socket], stop_signals: tuple[signal.Signals, ...]) -> None:
    """Serve the site and its endpoints in this process until a signal comes.

    Args:
        listeners: Sockets that listen.
        stop_signals: Signals that stop the server gracefully, and at once when one comes again.
    """
    config = _make_config()
    if config.access_log:
        configure_access_log()
    server = BoltServer(config, Dispatcher(discover()), stop_signals, multiprocessing.parent_process())
    server.run(sockets=listeners)


def _make_config() -> Config:
    return Config(
        get_application(),
        loop="auto",
        http="httptools",
        ws=KeptAliveUpgrade,
        interface="asgi3",
        # Django's own application knows no lifespan; a project's may wrap it in one that does.
        lifespan="auto" if has_own_application() else "off",
        log_config=None,
        access_log=settings.DEBUG,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(bolt_settings().drain_timeout),
    )
