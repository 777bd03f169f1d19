"""Compare servers side by side: the same handlers, one load generator, several interleaved rounds.

Each measurement starts a fresh server on one core and the generator on another. Within a round every server
runs a scenario before the next scenario begins, and ratios are computed within the round, so that a machine
that gets slower or faster over time moves both sides of a ratio. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import random
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
PACKAGES = ["django_bolt", "Django", "starlette", "uvicorn", "websockets", "uvloop", "httptools"]
PORTS = range(20_000, 30_000)
START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0

Report = dict[str, Any]


class BenchmarkError(Exception):
    """A server or the generator did not do its part."""


@dataclass(frozen=True)
class Server:
    """A server to measure.

    In its command, ``{port}`` stands for the port and ``{binaries}`` for the directory of the Rust programs.
    """

    name: str
    command: list[str]
    directory: Path = ROOT

    def argv(self, port: int, binaries: Path) -> list[str]:
        """Fill in the command."""
        return [part.format(port=port, binaries=binaries) for part in self.command]


@dataclass(frozen=True)
class Scenario:
    """What the generator does, and which number of its report counts."""

    name: str
    command: str
    path: str
    metric: str
    options: list[str] = field(default_factory=list)
    warmup: bool = True


@dataclass(frozen=True)
class Result:
    """One measurement."""

    round: int
    scenario: str
    server: str
    report: Report


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


PYTHON = sys.executable
LOOPBACK = "127.0.0.1:{port}"
UVICORN_OPTIONS = "--ws websockets --loop uvloop --http httptools --no-access-log --log-level warning"
SERVERS = [
    Server(
        "bolt",
        [PYTHON, "manage.py", "runbolt", LOOPBACK, "--noreload", "--workers", "1"],
        HERE / "servers" / "bolt_site",
    ),
    Server(
        "starlette",
        [PYTHON, "-m", "uvicorn", "starlette_echo:app", "--port", "{port}", *UVICORN_OPTIONS.split()],
        HERE / "servers",
    ),
    Server("limit", ["{binaries}/bolt-limit", LOOPBACK, "--prefix", "Echo: "]),
]

ECHO = ["--connections", "64", "--size", "32", "--prefix", "Echo: "]
FANOUT = ["--connections", "500", "--size", "32"]
CONNECT = ["--concurrency", "32", "--prefix", "Echo: "]
IDLE = ["--connections", "10000"]
SCENARIOS = [
    Scenario("echo-1", "echo", "/ws/echo", "messages_per_second", [*ECHO, "--in-flight", "1"]),
    Scenario("echo-16", "echo", "/ws/echo", "messages_per_second", [*ECHO, "--in-flight", "16"]),
    Scenario("fanout-500", "fanout", "/ws/broadcast", "deliveries_per_second", FANOUT),
    Scenario("connect", "connect", "/ws/echo", "connections_per_second", CONNECT),
    Scenario("idle-10000", "idle", "/ws/echo", "rss_per_connection", IDLE, warmup=False),
]
DEFAULT_SCENARIOS = "echo-1,echo-16,fanout-500"
BASES = ["starlette", "limit"]


@dataclass(frozen=True)
class Bench:
    """How to run: where the Rust programs are, which core is whose, how long, and repeats if disturbed."""

    binaries: Path
    server_cpu: int
    generator_cpu: int
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
        with self.serve(server) as running:
            command = self.generator_command(scenario, running.port)
            command += ["--pid", str(running.process.pid), "--json"]
            # A scenario with failed answers ends with 1 and still has its report.
            outcome = subprocess.run(command, capture_output=True, text=True, check=False)
            try:
                report: Report = json.loads(outcome.stdout)
            except ValueError:
                text = f"{scenario.name} on {server.name}: {outcome.stderr.strip()}\n{running.output()}"
                raise BenchmarkError(text) from None
        return report

    def generator_command(self, scenario: Scenario, port: int) -> list[str]:
        """Return the command that runs a scenario."""
        command = ["taskset", "--cpu-list", str(self.generator_cpu), str(self.binaries / "bolt-load")]
        command += [scenario.command, f"ws://127.0.0.1:{port}{scenario.path}", *scenario.options]
        command += ["--seconds", f"{self.seconds:g}"]
        return [*command, "--warmup", f"{self.warmup:g}"] if scenario.warmup else command

    def server_command(self, server: Server, port: int) -> list[str]:
        """Return the command that starts a server."""
        return ["taskset", "--cpu-list", str(self.server_cpu), *server.argv(port, self.binaries)]

    @contextlib.contextmanager
    def serve(self, server: Server) -> Iterator[Running]:
        """Run a server for the length of a ``with`` block."""
        port = free_port()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                self.server_command(server, port),
                cwd=server.directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            running = Running(port, process, log)
            try:
                wait_for_port(running, server.name)
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


def wait_for_port(running: Running, name: str) -> None:
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
    raise BenchmarkError(f"{name} does not listen on port {running.port}\n{running.output()}")


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


def run_rounds(bench: Bench, scenarios: list[Scenario], servers: list[Server], rounds: int) -> list[Result]:
    """Measure everything ``rounds`` times, a different server first in each round."""
    results = []
    for number in range(rounds):
        start = number % len(servers)
        for scenario in scenarios:
            for server in servers[start:] + servers[:start]:
                report = bench.measure(scenario, server)
                results.append(Result(number, scenario.name, server.name, report))
                line = describe(server.name, scenario, report)
                print(f"round {number + 1}  {scenario.name:11} {line}", flush=True)
    return results


def describe(server: str, scenario: Scenario, report: Report) -> str:
    """Return one measurement as a line."""
    line = f"{server:10} {report[scenario.metric]:>12,.0f}"
    line += (
        f"  cpu: server {report['server_utilisation']:4.0%}, generator {report['generator_utilisation']:4.0%}"
    )
    if "p50_us" in report:
        line += f"  p50 {report['p50_us']:,.0f} us  p99 {report['p99_us']:,.0f} us"
    for doubt in ("generator_bound", "disturbed"):
        line += f"  {doubt.upper()}" if report[doubt] else ""
    return line + (f"  {report['errors']} ERRORS: {report['first_error']}" if report["errors"] else "")


def values(results: list[Result], scenario: Scenario, server: str) -> list[float]:
    """Return the scenario's number for a server, round by round."""
    return [r.report[scenario.metric] for r in results if (r.scenario, r.server) == (scenario.name, server)]


def spread(numbers: list[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    return {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers)}


def summarise(results: list[Result], scenario: Scenario, servers: list[str]) -> dict[str, Any]:
    """Return, for each server, the spread of its numbers and of its ratios within each round."""
    summary: dict[str, Any] = {}
    for server in servers:
        own = values(results, scenario, server)
        entry: dict[str, Any] = {scenario.metric: spread(own)}
        for base in BASES:
            if base in servers and base != server:
                pairs = zip(own, values(results, scenario, base), strict=True)
                entry[f"ratio to {base}"] = spread([mine / others for mine, others in pairs])
        mine = [r.report for r in results if (r.scenario, r.server) == (scenario.name, server)]
        entry["errors"] = sum(report["errors"] for report in mine)
        entry["doubtful"] = sum(report["generator_bound"] or report["disturbed"] for report in mine)
        summary[server] = entry
    return summary


def print_table(summary: dict[str, Any], scenario: Scenario) -> None:
    """Print the summary of a scenario: medians, with minimum and maximum in brackets."""
    print(f"\n{scenario.name}: {scenario.metric.replace('_', ' ')}")
    for server, entry in summary.items():
        line = f"  {server:10}" + bracketed(entry[scenario.metric], ">12,.0f", ",.0f").ljust(44)
        for name in (name for name in entry if name.startswith("ratio")):
            line += f"{name.removeprefix('ratio ')} {bracketed(entry[name], '.2f', '.2f')}   "
        line += f"{entry['errors']} errors  " if entry["errors"] else ""
        line += f"{entry['doubtful']} doubtful rounds" if entry["doubtful"] else ""
        print(line.rstrip())


def bracketed(numbers: dict[str, float], median: str, limits: str) -> str:
    """Return a spread as text, its numbers in these formats."""
    return f"{numbers['median']:{median}} [{numbers['min']:{limits}} - {numbers['max']:{limits}}]"


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("model name", 1)[-1].splitlines()[0]
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="utf-8").strip()
    return {
        "cpu": cpu.strip(" \t:"),
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "tcp_congestion_control": congestion,
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    found = {
        "python": platform.python_version(),
        "rustc": output_of("rustc", "--version"),
        "commit": output_of("git", "describe", "--always", "--dirty"),
    }
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def output_of(*command: str) -> str:
    """Return what a program prints, or "unknown"."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def shown(command: list[str], binaries: Path) -> str:
    """Return a command as one would type it, without this machine's directories."""
    line = shlex.join("python" if part == sys.executable else part for part in command)
    return line.replace(f"{binaries}/", "").replace(f"{ROOT}/", "")


def record(
    bench: Bench, scenarios: list[Scenario], servers: list[Server], results: list[Result]
) -> dict[str, Any]:
    """Return all there is to know about a run."""
    names = [server.name for server in servers]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "servers": {s.name: shown(bench.server_command(s, 8000), bench.binaries) for s in servers},
        "scenarios": {s.name: shown(bench.generator_command(s, 8000), bench.binaries) for s in scenarios},
        "summary": {s.name: summarise(results, s, names) for s in scenarios},
        "measurements": [vars(result) for result in results],
    }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare WebSocket servers side by side.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it that do not count")
    parser.add_argument("--servers", default=",".join(s.name for s in SERVERS), help="default: %(default)s")
    known = ", ".join(s.name for s in SCENARIOS)
    parser.add_argument("--scenarios", default=DEFAULT_SCENARIOS, help=f"of {known}; default: %(default)s")
    parser.add_argument("--idle", action="store_true", help="also the memory of 10,000 idle connections")
    parser.add_argument("--server-cpu", type=int, default=0, help="core of the server")
    parser.add_argument("--generator-cpu", type=int, default=1, help="core of the generator")
    parser.add_argument("--repeats", type=int, default=2, help="how often to repeat a disturbed measurement")
    parser.add_argument(
        "--binaries", type=Path, help="where bolt-load and bolt-limit are; default: build them"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes; default: a new file in results/")
    return parser.parse_args()


def choose(known: list[Any], names: str, kind: str) -> list[Any]:
    """Return what has the names, in the order of the names."""
    by_name = {one.name: one for one in known}
    wanted = list(dict.fromkeys(names.split(",")))
    if unknown := [name for name in wanted if name not in by_name]:
        raise BenchmarkError(f"no {kind} named {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted]


def compare(arguments: argparse.Namespace) -> int:
    """Run the comparison; return the exit code."""
    wanted = arguments.scenarios + (",idle-10000" if arguments.idle else "")
    scenarios: list[Scenario] = choose(SCENARIOS, wanted, "scenario")
    servers: list[Server] = choose(SERVERS, arguments.servers, "server")
    binaries = arguments.binaries.resolve() if arguments.binaries else build()
    bench = Bench(
        binaries=binaries,
        server_cpu=arguments.server_cpu,
        generator_cpu=arguments.generator_cpu,
        seconds=arguments.seconds,
        warmup=arguments.warmup,
        repeats=arguments.repeats,
    )
    results = run_rounds(bench, scenarios, servers, arguments.rounds)
    found = record(bench, scenarios, servers, results)
    for scenario in scenarios:
        print_table(found["summary"][scenario.name], scenario)
    output = arguments.output or RESULTS / f"compare-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {output}")
    return 1 if any(result.report["errors"] for result in results) else 0


def main() -> int:
    """Let servers hold 10,000 sockets, then compare."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        return compare(parse_arguments())
    except (BenchmarkError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
