"""The server under test: ``manage.py runbolt`` in a process of its own."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Server", "ServerError", "running_server"]

SITE = Path(__file__).resolve().parent / "site"
START_TIMEOUT = 30
STOP_TIMEOUT = 30
"""Seconds; twice what a handler and then a connection may take by default."""

_ANNOUNCEMENT = re.compile(r" at http://(\S+)/ ")


class ServerError(Exception):
    """The server did not start, did not stay, or did not stop as it should."""


class Server:
    """A server that was started.

    Attributes:
        address: Its ``host:port``.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: It does not.
        """
        self._process = process
        self._log = log
        self._deadline = time.monotonic() + START_TIMEOUT
        self.address = self._wait_for_address()
        while not _answers(self.address):
            self._wait()

    def _wait_for_address(self) -> str:
        while not (found := _ANNOUNCEMENT.search(self._written())):
            self._wait()
        return found[1]

    def _wait(self) -> None:
        self.check()
        if time.monotonic() > self._deadline:
            raise ServerError(f"The server did not start within {START_TIMEOUT} s.\n{self._written()}")
        time.sleep(0.05)

    def _written(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Check that the server is there and well.

        Raises:
            ServerError: It ended, or logged an exception: no client may make a handler or the core raise.
        """
        code = self._process.poll()
        if code is not None:
            raise ServerError(f"The server ended by itself with {code}.\n{self._written()}")
        if "Traceback" in self._written():
            raise ServerError(f"The server logged an exception.\n{self._written()}")

    def stop(self) -> None:
        """Stop the server as a process manager does.

        Raises:
            ServerError: It did not stop in time, or not with 0.
        """
        self.check()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise ServerError(
                f"The server did not stop within {STOP_TIMEOUT} s.\n{self._written()}"
            ) from None
        if code:
            raise ServerError(f"The server ended with {code}.\n{self._written()}")


@contextmanager
def running_server(log: Path) -> Iterator[Server]:
    """Run the server on a free port of the loopback interface while the block runs.

    Args:
        log: File for what the server writes.

    Yields:
        The server, which answers.

    Raises:
        ServerError: See the class; the text ends with the log.
    """
    command = [sys.executable, "manage.py", "runbolt", "--noreload", "127.0.0.1:0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=SITE, stdout=output, stderr=subprocess.STDOUT)
    try:
        server = Server(process, log)
        yield server
        server.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    """Tell whether the server answers a request: it listens before it serves."""
    connection = http.client.HTTPConnection(address, timeout=1)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return bool(connection.getresponse().status)
    return False
