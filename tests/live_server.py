"""``manage.py runbolt`` with the test project, in a process of its own on a free port.

Import the fixtures into a ``conftest.py``: ``from tests.live_server import live_server, live_servers``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
MANAGE = ROOT / "tests" / "project" / "manage.py"
SERVING = re.compile(r"^Serving .* at http://(?P<host>[^ /]+):(?P<port>\d+)/", re.MULTILINE)
START_TIMEOUT = 30
STOP_TIMEOUT = 15


class LiveServer:
    """A server process.

    Args:
        database: Folder with the prepared database.
        log: File that takes what the server writes, errors included.
        arguments: Further arguments of ``runbolt``.
        bolt: ``BOLT`` of its settings.
        debug: ``DEBUG`` of its settings.
    """

    def __init__(
        self,
        database: Path,
        log: Path,
        *arguments: str,
        bolt: Mapping[str, Any] | None = None,
        debug: bool = False,
    ) -> None:
        self.log = log
        self.port = 0
        self._arguments = arguments or ("--noreload",)
        self._environment = make_environment(database) | {
            "TEST_PROJECT_BOLT": json.dumps(bolt or {}),
            "TEST_PROJECT_DEBUG": "1" if debug else "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Value of the ``Host`` header field."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address of the site, without a slash at its end."""
        return f"http://{self.host}"

    @property
    def pid(self) -> int:
        """Process id of the server: of the parent, where it has workers."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Serve on a port that the system chooses; returns once it listens."""
        command = [sys.executable, str(MANAGE), "runbolt", "127.0.0.1:0", *self._arguments]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.port = self._wait_until_serving(self._process)

    def _wait_until_serving(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            serving = SERVING.search(self.output())
            if serving:
                return int(serving["port"])
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"runbolt did not start:\n{self.output()}")

    def output(self, start: int = 0) -> str:
        """Return what the server has written, from a position in bytes on."""
        return self.log.read_bytes()[start:].decode() if self.log.exists() else ""

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process has ended; returns its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"runbolt did not end in {STOP_TIMEOUT} s:\n{self.output()}") from None

    def stop(self) -> int:
        """Stop by SIGTERM; returns the exit code."""
        self.terminate()
        return self.wait()

    def terminate(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        assert self._process is not None
        if self._process.poll() is None:
            self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def make_environment(database: Path) -> dict[str, str]:
    """Return the environment for a management command of the test project."""
    environment = os.environ | {"TEST_PROJECT_DIRECTORY": str(database), "PYTHONUNBUFFERED": "1"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return environment


class LiveServers:
    """Live servers of one test run, which share a database.

    Args:
        directory: Folder for the database and the logs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[str, LiveServer] = {}
        self._started: list[LiveServer] = []

    def prepare(self) -> None:
        """Make the database, with a superuser ``admin`` whose password is ``admin``."""
        command = [sys.executable, str(MANAGE), "prepare"]
        environment = make_environment(self._directory)
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"manage.py prepare:\n{done.stdout}{done.stderr}"

    def start(
        self, *arguments: str, bolt: Mapping[str, Any] | None = None, debug: bool = False
    ) -> LiveServer:
        """Start a server that is the caller's to stop; at the end of the run it is stopped anyway."""
        log = self._directory / f"runbolt-{len(self._started)}.log"
        server = LiveServer(self._directory, log, *arguments, bolt=bolt, debug=debug)
        server.start()
        self._started.append(server)
        return server

    def get(self, bolt: Mapping[str, Any] | None = None, *, debug: bool = False) -> LiveServer:
        """Return the one server with these settings; it serves until the end of the run."""
        key = json.dumps([debug, bolt or {}], sort_keys=True)
        if key not in self._kept:
            self._kept[key] = self.start(bolt=bolt, debug=debug)
        return self._kept[key]

    def stop(self) -> None:
        """Stop every server; all are told before the first is waited for."""
        for server in self._started:
            server.terminate()
        for server in self._started:
            server.wait()


@pytest.fixture(scope="session")
def live_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServers]:
    """Live servers with any settings; see `LiveServers.get` and `LiveServers.start`."""
    servers = LiveServers(tmp_path_factory.mktemp("live"))
    servers.prepare()
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def live_server(live_servers: LiveServers) -> LiveServer:
    """The live server with the default settings: one worker, no reload."""
    return live_servers.get()
