"""What parameters and a token cost when a client connects: connections a second with none, with some, with both.

Each round starts the server of ``servers/connect_site.py`` anew on one core, and loads one endpoint after the other
from another core, a different one first in each round. A connection is an opening handshake, one echo, and the closing
handshake. Ratios are those within a round. On a machine with other work, look at the server's CPU time for each
connection, which does not depend on who else has the core.

    python benchmarks/connect_cost.py --rounds 3 --seconds 5
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
from servers.connect_site import SECRET_KEY

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "benchmarks" / "servers" / "connect_site.py"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0

CASES = {
    "none": "/ws/plain",
    "two parameters": "/ws/rooms/7?limit=50",
    "token": "/ws/token",
    "token, two parameters": "/ws/token/rooms/7?limit=50",
}
"""Targets to connect to, by what they ask for. The first is what the others are compared with."""

Report = dict[str, Any]


def free_port() -> int:
    """Return a port of the loopback interface, below the ephemeral ones, that nobody listens on."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise SystemExit("no free port")


@contextlib.contextmanager
def serve(cpu: int) -> Iterator[tuple[int, int]]:
    """Run the server for the length of a ``with`` block; gives its port and its process."""
    port = free_port()
    command = ["taskset", "--cpu-list", str(cpu), sys.executable, str(SITE), f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        yield port, server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT)
        server.kill()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections."""
    deadline = time.monotonic() + START_TIMEOUT
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"the server does not listen; try: python {SITE.relative_to(ROOT)} 127.0.0.1:{port}")


def load(arguments: argparse.Namespace, port: int, pid: int, target: str) -> Report:
    """Open connections to a target, and return the generator's report."""
    claims = {"user_id": 7, "exp": int(time.time()) + 3600}
    command = ["taskset", "--cpu-list", str(arguments.generator_cpu), str(arguments.binaries / "bolt-load")]
    command += ["connect", f"ws://127.0.0.1:{port}{target}", "--json", "--pid", str(pid)]
    command += ["--seconds", f"{arguments.seconds:g}", "--warmup", f"{arguments.warmup:g}"]
    if target.startswith("/ws/token"):
        command += ["--header", f"Authorization: Bearer {jwt.encode(claims, SECRET_KEY)}"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise SystemExit(f"{target}: {outcome.stdout}{outcome.stderr}")
    report: Report = json.loads(outcome.stdout)
    report["server_us"] = 1e6 * report["server_cpu_seconds"] / report["connections"]
    return report


def measure(arguments: argparse.Namespace) -> list[dict[str, Report]]:
    """Return the reports of each round by case."""
    rounds = []
    for number in range(arguments.rounds):
        names = list(CASES)
        names = names[number % len(names) :] + names[: number % len(names)]
        with serve(arguments.server_cpu) as (port, pid):
            rounds.append({name: load(arguments, port, pid, CASES[name]) for name in names})
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    return rounds


def summarise(rounds: list[dict[str, Report]]) -> dict[str, dict[str, float]]:
    """Return medians by case, of what was measured and of its ratios within each round."""
    base, *_ = CASES
    return {
        name: {
            "connections_per_second": median(reports[name]["connections_per_second"] for reports in rounds),
            "ratio": median(
                reports[name]["connections_per_second"] / reports[base]["connections_per_second"]
                for reports in rounds
            ),
            "server_us": median(reports[name]["server_us"] for reports in rounds),
            "cpu_ratio": median(
                reports[name]["server_us"] / reports[base]["server_us"] for reports in rounds
            ),
            "disturbed": sum(reports[name]["disturbed"] for reports in rounds),
        }
        for name in CASES
    }


def median(numbers: Iterator[float]) -> float:
    """Return the middle one."""
    return statistics.median(numbers)


def print_table(summary: dict[str, dict[str, float]]) -> None:
    """Print the medians."""
    print(
        f"{'asked for':24}{'connections/s':>14}{'ratio':>8}{'server CPU, us':>16}{'ratio':>8}{'disturbed':>11}"
    )
    for name, of in summary.items():
        print(
            f"{name:24}{of['connections_per_second']:14,.0f}{of['ratio']:8.2f}"
            f"{of['server_us']:16.1f}{of['cpu_ratio']:8.2f}{of['disturbed']:11.0f}"
        )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure what parameters and a token cost at connect.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it that do not count")
    parser.add_argument("--server-cpu", type=int, default=0, help="core of the server")
    parser.add_argument("--generator-cpu", type=int, default=1, help="core of the generator")
    parser.add_argument("--binaries", type=Path, help="where bolt-load is; default: build it")
    parser.add_argument("--json", action="store_true", help="print all reports as JSON instead of a table")
    return parser.parse_args()


def build() -> Path:
    """Build the generator with cargo; return the directory of the programs."""
    subprocess.run(["cargo", "build", "--release", "--package", "bolt-load", "--bins"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"


if __name__ == "__main__":
    parsed = parse_arguments()
    parsed.binaries = parsed.binaries or build()
    measured = measure(parsed)
    if parsed.json:
        print(json.dumps({"summary": summarise(measured), "rounds": measured}, indent=2))
    else:
        print_table(summarise(measured))
