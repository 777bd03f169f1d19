"""What a worker process runs."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
from dataclasses import dataclass
from socket import socket

import django
from django.apps import apps
from django.conf import settings
from uvicorn.config import STARTUP_FAILURE, Config

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.server.access_log import configure_access_log
from django_bolt.server.asgi import get_application, has_own_application
from django_bolt.server.forwarding import BehindProxies
from django_bolt.server.http import KeptAliveUpgrade
from django_bolt.server.listening import Address, bind_worker
from django_bolt.server.server import BoltServer
from django_bolt.server.tls import Certificate

__all__ = ["Worker", "make_server"]

logger = logging.getLogger("django_bolt.server")


@dataclass(frozen=True)
class Worker:
    """A worker under a parent process, which stops it by SIGTERM. Called in the new process.

    Attributes:
        address: Where to listen with a socket of its own; None: on the sockets that it is given.
        certificate: For TLS; None: without.
    """

    address: Address | None = None
    certificate: Certificate | None = None

    def __call__(self, sockets: list[socket] | None = None) -> None:
        # A terminal sends Ctrl-C to parent and workers alike; what it means is the parent's to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.environ["RUN_MAIN"] = "true"  # what apps ask under `runserver` to tell parent and child apart
        try:
            if not apps.ready:
                django.setup()
            listeners = [bind_worker(self.address)] if self.address else list(sockets or ())
            server = make_server((signal.SIGTERM,), self.certificate)
        except Exception:
            # Another try would end the same way: the parent shall stop instead.
            logger.exception("The worker cannot start")
            raise SystemExit(STARTUP_FAILURE) from None
        server.run(sockets=listeners)


def make_server(
    stop_signals: tuple[signal.Signals, ...], certificate: Certificate | None = None
) -> BoltServer:
    """Make the server of the site and its endpoints for this process; ``run(sockets=...)`` serves.

    Args:
        stop_signals: Signals that stop the server gracefully, and at once when one comes again.
        certificate: For TLS; None: without.
    """
    config = _make_config()
    if config.access_log:
        configure_access_log()
    server = BoltServer(config, Dispatcher(discover()), stop_signals, certificate)
    server.parent = multiprocessing.parent_process()
    return server


def _make_config() -> Config:
    application = get_application()
    return Config(
        BehindProxies(application) if bolt_settings().trusted_proxies else application,
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
