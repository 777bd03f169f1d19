"""Start servers, and drive them with the generator."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.environments import HERE
from harness.errors import BenchmarkError
from harness.scenarios import Scenario
from harness.servers import Server

ROOT = HERE.parent
PORTS = range(20_000, 30_000)
START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0
# Longest run of the generator: opening, holding and closing 10,000 connections of a slow server.
LONGEST = 300.0
# Servers whose parent listens before its children serve: all workers shall be there, and at rest.
WORKERS_SETTLE = 2.0

Report = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A server that was started."""

    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def output(self) -> str:
        """Return the end of what it has printed."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]


@dataclass(frozen=True)
class Bench:
    """How to run: where the Rust programs are, which cores are whose, how long, and repeats if disturbed."""

    binaries: Path
    server_cpus: str
    generator_cpu: str
    seconds: float
    warmup: float
    repeats: int

    def measure(self, scenario: Scenario, server: Server) -> Report:
        """Run a scenario; again, if other processes took time from it, and return the least disturbed run.

        Which run that is depends on the scheduler's accounts alone, not on the numbers measured.
        """
        reports = [self.measure_once(scenario, server)]
        while reports[-1]["disturbed"] and len(reports) <= self.repeats:
            reports.append(self.measure_once(scenario, server))
        return min(reports, key=lambda report: max(report["generator_waited"], report["server_waited"]))

    def measure_once(self, scenario: Scenario, server: Server) -> Report:
        """Start the server, run the scenario against it, stop the server.

        Raises:
            BenchmarkError: The server does not start, or the generator reports nothing.
        """
        with self.serve(server, scenario.workers) as running:
            command = self.generator_command(scenario, running.port)
            command += ["--pid", str(running.process.pid), "--json"]
            # A scenario with failed answers ends with 1 and still has its report.
            try:
                outcome = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=LONGEST
                )
                report: Report = json.loads(outcome.stdout)
            except subprocess.TimeoutExpired:
                raise BenchmarkError(f"not finished after {LONGEST:.0f} s\n{running.output()}") from None
            except ValueError:
                raise BenchmarkError(f"{running.output()}\n{outcome.stderr.strip()}") from None
        return report

    def generator_command(self, scenario: Scenario, port: int) -> list[str]:
        """Return the command that runs a scenario."""
        scheme = "http" if scenario.command == "http" else "ws"
        command = ["taskset", "--cpu-list", self.generator_cpu, str(self.binaries / "bolt-load")]
        command += [scenario.command, f"{scheme}://127.0.0.1:{port}{scenario.path}", *scenario.options]
        command += ["--seconds", f"{scenario.seconds or self.seconds:g}"]
        return command if scenario.command == "idle" else [*command, "--warmup", f"{self.warmup:g}"]

    def server_command(self, server: Server, port: int, workers: int) -> list[str]:
        """Return the command that starts a server."""
        return ["taskset", "--cpu-list", self.server_cpus, *server.argv(port, workers, self.binaries)]

    @contextlib.contextmanager
    def serve(self, server: Server, workers: int) -> Iterator[Running]:
        """Run a server for the length of a ``with`` block."""
        port = free_port()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                self.server_command(server, port, workers),
                cwd=server.directory,
                env=server.environ(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            running = Running(port, process, log)
            try:
                wait_for_port(running)
                time.sleep(WORKERS_SETTLE if workers > 1 else 0)
                yield running
            finally:
                stop(process)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    It is below the ephemeral ports: a client that asks an ephemeral port of its own host whether somebody
    listens there may be given that very port to ask from, and then TCP connects it with itself.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchmarkError("no free port")


def wait_for_port(running: Running) -> None:
    """Wait until the server accepts connections.

    Raises:
        BenchmarkError: It has ended, or takes too long; the text has the end of its output.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while running.process.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", running.port), timeout=1),
        ):
            return
        time.sleep(0.05)
    raise BenchmarkError(f"does not listen\n{running.output()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and whatever it has started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        print(f"  process {process.pid} did not stop on SIGTERM", file=sys.stderr)
    # Workers that outlive their supervisor would take the core from the next server.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def build() -> Path:
    """Build generator and limit with cargo; return the directory of the programs."""
    subprocess.run(["cargo", "build", "--release", "--package", "bolt-load", "--bins"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
