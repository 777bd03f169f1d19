"""Compare servers side by side: the same handlers, one load generator, several interleaved rounds.

Each measurement starts a fresh server on one core and the generator on another. Within a round every server
runs a scenario before the next scenario begins, and ratios are computed within the round, so that a machine
that gets slower or faster over time moves both sides of a ratio. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from harness import scenarios as scenario_table
from harness import servers as server_table
from harness import targets
from harness.environments import HERE
from harness.errors import BenchmarkError, UnavailableError
from harness.printing import describe, print_table
from harness.recording import Failure, Result, Run
from harness.running import Bench, build
from harness.scenarios import SCENARIOS, Scenario
from harness.servers import SERVERS, Server

RESULTS = HERE / "results"


class Named(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """What the row is called."""


Row = TypeVar("Row", bound=Named)


def prepare(run: Run) -> None:
    """Make the environments; note which servers cannot be had here."""
    for server in run.servers:
        try:
            server.argv(0, 1, run.bench.binaries)
            server.environ()
        except UnavailableError as error:
            run.unavailable[server.name] = str(error)
            print(f"{server.name} is not measured: {error}", flush=True)


def measure_round(run: Run, number: int) -> None:
    """Measure everything that the round is to have, a different server first in each."""
    servers = [server for server in run.servers if server.name not in run.unavailable]
    start = number % max(1, len(servers))
    for scenario in run.scenarios:
        if scenario.once and number > 0:
            continue
        for server in servers[start:] + servers[:start]:
            if scenario.requirements() <= server.can:
                measure(run, number, scenario, server)


def measure(run: Run, number: int, scenario: Scenario, server: Server) -> None:
    """Make one measurement, or note why it cannot be made."""
    try:
        report = run.bench.measure(scenario, server)
    except BenchmarkError as error:
        run.failures.append(Failure(number, scenario.name, server.name, str(error)))
        print(
            f"round {number + 1}  {scenario.name:22} {server.name:18} FAILED: {last_line(error)}", flush=True
        )
    else:
        run.results.append(Result(number, scenario.name, server.name, report))
        print(f"round {number + 1}  {describe(server.name, scenario, report)}", flush=True)


def last_line(error: BenchmarkError) -> str:
    """Return the last line of an error that says something."""
    return [line for line in str(error).splitlines() if line.strip()][-1]


def compare(arguments: argparse.Namespace) -> int:
    """Run the comparison; return the exit code."""
    bench = Bench(
        binaries=arguments.binaries.resolve() if arguments.binaries else build(),
        server_cpus=arguments.server_cpu,
        generator_cpu=arguments.generator_cpu,
        seconds=arguments.seconds,
        warmup=arguments.warmup,
        repeats=arguments.repeats,
    )
    groups = {"main": scenario_table.MAIN, "targets": targets.SCENARIO_NAMES}
    scenarios = choose(SCENARIOS, arguments.scenarios, groups, "scenario")
    groups = {"main": server_table.MAIN, "targets": targets.SERVER_NAMES}
    servers = choose(SERVERS, arguments.servers, groups, "server")
    run = Run(bench, scenarios, servers, arguments.rounds)
    prepare(run)
    output = arguments.output or RESULTS / f"compare-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.rounds):
        measure_round(run, number)
        # After each round, so that a long run leaves what it has found.
        output.write_text(json.dumps(run.record(), indent=1) + "\n", encoding="utf-8")
    finish(run, output)
    return 1 if run.failures or any(result.report["errors"] for result in run.results) else 0


def finish(run: Run, output: Path) -> None:
    """Print the tables."""
    summary = run.record()["summary"]
    for scenario in run.scenarios:
        print_table(summary[scenario.name], scenario)
    print(f"\nwritten to {output}; a report of it: python benchmarks/report.py {output}")


def choose(known: Sequence[Row], names: str, groups: dict[str, list[str]], kind: str) -> list[Row]:
    """Return the rows that have the names, in their order; a group, or "all", stands for several."""
    by_name = {row.name: row for row in known}
    wanted: list[str] = []
    for name in names.split(","):
        wanted += {**groups, "all": list(by_name)}.get(name, [name])
    if unknown := [name for name in wanted if name not in by_name]:
        raise BenchmarkError(f"no {kind} named {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in dict.fromkeys(wanted)]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare WebSocket servers side by side.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it that do not count")
    for kind, table in (("servers", SERVERS), ("scenarios", SCENARIOS)):
        known = ", ".join(row.name for row in table)
        parser.add_argument(f"--{kind}", default="main", help=f"main, targets, all, or some of {known}")
    parser.add_argument("--server-cpu", default="0", help="core of the server, or a list of cores")
    parser.add_argument("--generator-cpu", default="1", help="core of the generator")
    parser.add_argument("--repeats", type=int, default=2, help="how often to repeat a disturbed measurement")
    parser.add_argument(
        "--binaries", type=Path, help="where bolt-load and bolt-limit are; default: build them"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes; default: a new file in results/")
    return parser.parse_args()


def main() -> int:
    """Let servers hold 10,000 sockets, then compare."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The servers that were started shall not outlive this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return compare(parse_arguments())
    except (BenchmarkError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
