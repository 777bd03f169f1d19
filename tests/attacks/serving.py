"""``manage.py runbolt`` with the site under attack, in a process of its own, and what it costs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.attacks.wire import TEXT, Peer, frame

ROOT = Path(__file__).resolve().parents[2]
MANAGE = ROOT / "tests" / "attacks" / "site" / "manage.py"
SERVING = re.compile(r"^Serving .* at (?P<url>\S+?)/? \(", re.MULTILINE)
START_TIMEOUT = 30
STOP_TIMEOUT = 15
KIB, MIB = 1 << 10, 1 << 20

QUICK: dict[str, Any] = {
    "HANDSHAKE_TIMEOUT": 1,
    "CLOSE_TIMEOUT": 1,
    "DISCONNECT_GRACE": 1,
    "DRAIN_TIMEOUT": 1,
    "PING_INTERVAL": None,
}
"""Settings of every server here, unless a test says otherwise: short times, and no ping that no test asked for."""

MEASURES_MEMORY = Path("/proc/self/smaps_rollup").exists()


class Server:
    """A server process; use it as a context manager.

    Args:
        log: File that takes what the server writes.
        arguments: Of ``runbolt``.
        bolt: Settings besides `QUICK`.
    """

    def __init__(self, log: Path, *arguments: str, bolt: Mapping[str, Any] | None = None) -> None:
        self.log = log
        self.bolt = QUICK | dict(bolt or {})
        self.url = ""
        self._command = [sys.executable, str(MANAGE), "runbolt", "--noreload", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_terminated = False  # a second signal would stop it at once, which is another thing

    def __enter__(self) -> Server:
        environment = os.environ | {"ATTACKED_SITE_BOLT": json.dumps(self.bolt), "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.url = self._wait_until_serving()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_serving(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.is_running:
            if serving := SERVING.search(self.output()):
                return serving["url"]
            time.sleep(0.02)
        raise AssertionError(f"runbolt did not start:\n{self.output()}")

    def terminate(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._is_terminated = True

    def stop(self) -> None:
        """Stop by SIGTERM, which must succeed."""
        process = self._process
        assert process is not None
        if not self._is_terminated:
            self.terminate()
        try:
            code = process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"runbolt did not stop:\n{self.output()}") from None
        assert code == 0, f"runbolt ended with {code}:\n{self.output()}"

    # ── what it says and costs ───────────────────────────────────────────────────────────────────────────

    def output(self) -> str:
        """Return what the server has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def memory(self) -> int:
        """Return the bytes that the process has allocated and touched: resident, and no file's."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        (size,) = re.findall(r"^Anonymous:\s+(\d+) kB$", rollup, re.MULTILINE)
        return int(size) * KIB

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def processor_time(self) -> float:
        """Return the seconds of processor time that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ── how to reach it ──────────────────────────────────────────────────────────────────────────────────

    @property
    def host(self) -> str:
        """Value of the ``Host`` field."""
        return "localhost" if "unix" in self.url else self.url.partition("://")[2]

    def connect(self, *, source: str | None = None, receive_buffer: int | None = None) -> Peer:
        """Connect, with TLS if the server has it.

        Args:
            source: Address to connect from.
            receive_buffer: Size of the kernel's buffer; None: what the system chooses.
        """
        scheme, _, place = self.url.partition("://")
        is_unix = scheme.endswith("+unix")
        family = socket.AF_UNIX if is_unix else socket.AF_INET6 if "[" in place else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            connection.bind((source, 0))
        if is_unix:
            connection.connect(place)
        else:
            address, _, port = place.rpartition(":")
            connection.connect((address.strip("[]"), int(port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme.startswith("https"):
            connection = _trusting_context().wrap_socket(connection)
        return Peer(connection, self.host)

    def open(self, path: str, *fields: str, **options: Any) -> Peer:
        """Connect and do the opening handshake, which must succeed; options as for `connect`."""
        return self.connect(**options).open(path, *fields)

    def probe(self) -> dict[str, int]:
        """Ask what lives in the process; the asking connection and its task are counted, too."""
        with self.open("/probe") as peer:
            peer.send(frame(TEXT, b"?"))
            found: dict[str, int] = peer.receive_json()
            return found

    def wait_until(self, wanted: dict[str, int], within: float = 5.0) -> None:
        """Wait until a probe finds what is wanted."""
        deadline = time.monotonic() + within
        while not wanted.items() <= (found := self.probe()).items():
            assert time.monotonic() < deadline, f"{found}, not {wanted}"
            time.sleep(0.05)


def _trusting_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Growth:
    """How much larger the server is than it was at the start of `watch_growth`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = server.memory()
        self.peak = 0

    def note(self) -> None:
        """Look at the memory now."""
        self.peak = max(self.peak, self._server.memory() - self._before)


@contextmanager
def watch_growth(server: Server) -> Iterator[Growth]:
    """Watch the server's memory while the block runs; its peak is known after it."""
    growth, is_over = Growth(server), threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            growth.note()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
        growth.note()
    finally:
        is_over.set()
        watcher.join()
        print(f"The server has grown by {growth.peak / KIB:.0f} KiB.")  # shown with -s or -rP


class Bystander:
    """A client that goes on as usual; use it as a context manager around an attack.

    Attributes:
        slowest: Seconds of its slowest echo.
        count: Number of its echoes.
    """

    def __init__(self, server: Server) -> None:
        self._peer = server.open("/echo")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.slowest = 0.0
        self.count = 0

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        with self._peer:
            assert self._peer.echoes(), "the bystander is served to the end"
        print(f"A bystander had {self.count} echoes, the slowest in {self.slowest * 1000:.0f} ms.")

    def _go_on(self) -> None:
        while not self._is_over.wait(0.005):
            start = time.perf_counter()
            assert self._peer.echoes()
            self.slowest = max(self.slowest, time.perf_counter() - start)
            self.count += 1


class Servers:
    """Servers of one test run.

    Args:
        directory: Folder for the logs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[str, Server] = {}
        self._count = 0

    def make(self, *arguments: str, **bolt: Any) -> Server:
        """Make a server that the caller starts and stops; settings by their names."""
        self._count += 1
        return Server(
            self._directory / f"runbolt-{self._count}.log", *(arguments or ("127.0.0.1:0",)), bolt=bolt
        )

    def get(self, *arguments: str, **bolt: Any) -> Server:
        """Return the one server with these arguments and settings; it serves until the end of the run."""
        key = json.dumps([arguments, bolt], sort_keys=True)
        if key not in self._kept:
            self._kept[key] = self.make(*arguments, **bolt).__enter__()
        return self._kept[key]

    def stop(self) -> None:
        """Stop the servers that `get` has started; no attack may have made one log an exception or die."""
        for server in self._kept.values():
            server.terminate()
        for server in self._kept.values():
            server.stop()
