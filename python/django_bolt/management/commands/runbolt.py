"""``manage.py runbolt``: serve the Django site and its WebSocket endpoints on one port."""

from __future__ import annotations

import errno
import socket
import sys
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django import get_version
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.runserver import naiveip_re
from django.db import connections

from django_bolt.checks import ONE_PROCESS
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.server.descriptors import make_room
from django_bolt.server.listening import CAN_BALANCE, Address, UnixAddress, bind, reserve
from django_bolt.server.stopping import STOP_SIGNALS, note_signals
from django_bolt.server.supervisor import SourceReload, Supervisor, Workers
from django_bolt.server.tls import Certificate, make_context
from django_bolt.server.worker import Worker, make_server

_ERRORS = {
    errno.EACCES: "You don't have permission to access that port.",
    errno.EADDRINUSE: "That port is already in use.",
    errno.EADDRNOTAVAIL: "That IP address can't be assigned to.",
}


class Command(BaseCommand):
    """Serves the site; see ``help``."""

    help = "Serves the Django site and its WebSocket endpoints on one port."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments, named as those of runserver where they mean the same."""
        parser.add_argument("addrport", nargs="?", help="Optional port number, or ipaddr:port")
        parser.add_argument("--ipv6", "-6", action="store_true", dest="use_ipv6", help="Use an IPv6 address.")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="Number of worker processes (default: 1)."
        )
        parser.add_argument("--uds", metavar="PATH", help="Listen on a Unix socket instead of a port.")
        parser.add_argument("--ssl-certfile", metavar="FILE", help="Certificate chain (PEM); serves TLS.")
        parser.add_argument(
            "--ssl-keyfile", metavar="FILE", help="Key (PEM), if the certificate's file has none."
        )
        reload = parser.add_mutually_exclusive_group()
        reload.add_argument(
            "--reload",
            action="store_true",
            default=None,
            dest="use_reloader",
            help="Restart when the source changes (default while DEBUG is on).",
        )
        reload.add_argument(
            "--noreload",
            action="store_false",
            dest="use_reloader",
            help="Do not restart when the source changes.",
        )

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Check nothing by itself: as runserver does, `handle` checks, and says so."""
        return {"tags": set()}

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, bind, say where, and serve."""
        if not settings.DEBUG and not settings.ALLOWED_HOSTS:
            raise CommandError("You must set settings.ALLOWED_HOSTS if DEBUG is False.")
        if options["workers"] < 1:
            raise CommandError(f"--workers must be at least 1, not {options['workers']}.")
        if options["uds"] and options["addrport"]:
            raise CommandError("Give an address and port or --uds, not both.")
        address = _parse_address(options["addrport"], options["use_ipv6"])
        where = UnixAddress(options["uds"]) if options["uds"] else address
        plan = _Plan(where, options["workers"], _parse_certificate(options))
        self._run_checks(options)
        if plan.workers > 1 and bolt_settings().broker.startswith("memory:"):
            self.stderr.write(self.style.WARNING(ONE_PROCESS))
        warning = make_room(bolt_settings().max_connections, 3 if plan.certificate else 1)
        if warning is not None and not settings.DEBUG:
            self.stderr.write(self.style.WARNING(warning))
        use_reloader = settings.DEBUG if options["use_reloader"] is None else options["use_reloader"]
        exit_code = self._serve(plan, use_reloader)
        if exit_code:
            sys.exit(exit_code)

    def _run_checks(self, options: dict[str, Any]) -> None:
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            check_kwargs: Any = super().get_check_kwargs(options)
            self.check(**check_kwargs, display_num_errors=True)
        self.check_migrations()
        # The workers open their own.
        for connection in connections.all(initialized_only=True):
            connection.close()

    def _serve(self, plan: _Plan, use_reloader: bool) -> int:
        try:
            plan.bind()
        except OSError as error:
            raise CommandError(_ERRORS.get(error.errno or 0, str(error))) from error
        note_signals()
        self._announce(plan, use_reloader)
        try:
            return plan.run(use_reloader)
        finally:
            plan.clean_up()

    def _announce(self, plan: _Plan, use_reloader: bool) -> None:
        count = sum(len(api.endpoints) for api in discover())
        endpoints = "1 WebSocket endpoint" if count == 1 else f"{count} WebSocket endpoints"
        processes = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
        quit_command = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"{datetime.now():%B %d, %Y - %X}\n"
            f"Django version {get_version()}, django_bolt version {version('django_bolt')}, "
            f"using settings {settings.SETTINGS_MODULE!r}\n"
            f"Serving {endpoints} and the Django site at {plan.url} ({processes}"
            f"{', reloading on changes' if use_reloader else ''})\n"
            f"Quit the server with {quit_command}.\n"
        )
        self.stdout.flush()


class _Plan:
    """Where to serve, and in how many processes."""

    def __init__(self, address: Address | UnixAddress, workers: int, certificate: Certificate | None) -> None:
        self.address = address
        self.workers = workers
        self.certificate = certificate
        self._has_own_sockets = workers > 1 and CAN_BALANCE and isinstance(address, Address)
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        return self.address.url("https" if self.certificate else "http")

    def bind(self) -> None:
        """Bind the address; raises OSError where it cannot be had."""
        if self._has_own_sockets and isinstance(self.address, Address):
            self._socket, self.address = reserve(self.address)
            return
        self._socket = bind(self.address)
        if isinstance(self.address, Address):
            self.address = replace(self.address, port=self._socket.getsockname()[1])

    def run(self, use_reloader: bool) -> int:
        """Serve until a signal; returns the exit code."""
        own = self.address if self._has_own_sockets and isinstance(self.address, Address) else None
        shared = [self._socket] if self._socket is not None and own is None else []
        worker = Worker(own, self.certificate)
        if use_reloader:
            SourceReload(Workers(worker, self.workers) if self.workers > 1 else worker, shared).run()
            return 0
        if self.workers > 1:
            return Supervisor(worker, self.workers, shared).run()
        make_server(STOP_SIGNALS, self.certificate).run(sockets=shared)
        return 0

    def clean_up(self) -> None:
        """Give the address back."""
        if self._socket is not None:
            self._socket.close()
        if isinstance(self.address, UnixAddress):
            Path(self.address.path).unlink(missing_ok=True)


def _parse_certificate(options: dict[str, Any]) -> Certificate | None:
    chain, key = options["ssl_certfile"], options["ssl_keyfile"]
    if chain is None:
        if key is not None:
            raise CommandError("--ssl-keyfile needs --ssl-certfile.")
        return None
    certificate = Certificate(chain, key)
    try:
        make_context(certificate)
    except OSError as error:  # ssl.SSLError is one
        raise CommandError(f"The certificate cannot be used: {error}") from error
    return certificate


def _parse_address(text: str | None, use_ipv6: bool) -> Address:
    """Read ``[address:]port`` as runserver does."""
    if use_ipv6 and not socket.has_ipv6:
        raise CommandError("Your Python does not support IPv6.")
    default = "::1" if use_ipv6 else "127.0.0.1"
    if not text:
        return Address(default, 8000, use_ipv6)
    match = naiveip_re.match(text)
    if match is None or int(match["port"]) > 65535:
        raise CommandError(f"{text!r} is not a valid port number or address:port pair.")
    host, ipv6, fqdn = match["addr"], match["ipv6"], match["fqdn"]
    if ipv6:
        return Address(ipv6[1:-1], int(match["port"]), ipv6=True)
    if host and use_ipv6 and not fqdn:
        raise CommandError(f"{host!r} is not a valid IPv6 address.")
    host = {"0": "0.0.0.0"}.get(host or default, host or default)
    return Address(host, int(match["port"]), use_ipv6)
