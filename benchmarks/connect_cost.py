"""What parameters and a token cost when a client connects: connections a second with none, with some, with both.

Each measurement starts ``servers/connect_site.py`` anew; within a round every endpoint is loaded, another one first in
each round. A connection is an opening handshake, one echo, and the closing handshake. Ratios are those within a round.
On a machine with other work look at the server's CPU time for each connection: it does not depend on the share of the
core that the server gets.

    python benchmarks/connect_cost.py --rounds 3 --seconds 5 --output benchmarks/results/CONNECT_COST.md
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.recording import machine, versions
from harness.rendering import facts, table
from harness.running import Bench, build
from harness.scenarios import Scenario, connect, token
from harness.servers import LOOPBACK, Server

SITE = Server("bolt", f"{{python}} connect_site.py {LOOPBACK}", frozenset())
HEADER = ("--header", f"Authorization: Bearer {token()}")
CASES = [
    connect("none", "nothing", "/ws/plain", ""),
    connect("parameters", "two typed parameters", "/ws/rooms/7?limit=50", ""),
    connect("token", "a JSON Web Token", "/ws/token", "", *HEADER),
    connect("both", "both", "/ws/token/rooms/7?limit=50", "", *HEADER),
]
"""What is asked for at connect. The first is what the others are compared with."""

METHOD = """\
A connection is an opening handshake, one echo and the closing handshake, with a fresh server for each measurement.
Numbers are medians of the rounds, ratios are those within a round. A round is doubtful where the machine had other
work, or the generator was the bound: connections a second are too low then, and only the server's CPU time for a
connection can be compared. The token is of HS256, which PyJWT verifies.
"""
Report = dict[str, Any]
Round = dict[str, Report]


def measure(bench: Bench, rounds: int) -> list[Round]:
    """Return the reports of each round, by the name of the case."""
    measured = []
    for number in range(rounds):
        start = number % len(CASES)
        measured.append({case.name: report_of(bench, case) for case in CASES[start:] + CASES[:start]})
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return measured


def report_of(bench: Bench, case: Scenario) -> Report:
    """Measure a case once."""
    report = bench.measure(case, SITE)
    if report["errors"]:
        raise SystemExit(f"{case.name}: {report['errors']} errors, the first: {report['first_error']}")
    report["server_us"] = 1e6 * report["server_cpu_seconds"] / report["connections"]
    return report


def summarise(rounds: list[Round]) -> dict[str, dict[str, float]]:
    """Return medians by case: of the numbers, and of their ratios to the first case within each round."""
    summary = {}
    for case in CASES:
        pairs = [(reports[case.name], reports[CASES[0].name]) for reports in rounds]
        summary[case.name] = {"doubtful": sum(own["disturbed"] or own["generator_bound"] for own, _ in pairs)}
        for key in ("connections_per_second", "server_us"):
            summary[case.name][key] = statistics.median(own[key] for own, _ in pairs)
            summary[case.name][f"{key}_ratio"] = statistics.median(
                own[key] / base[key] for own, base in pairs
            )
    return summary


def print_table(summary: dict[str, dict[str, float]]) -> None:
    """Print the medians."""
    print(
        f"{'asked for':22}{'connections/s':>14}{'ratio':>7}{'server CPU, us':>16}{'ratio':>7}  doubtful rounds"
    )
    for case in CASES:
        of = summary[case.name]
        print(
            f"{case.title:22}{of['connections_per_second']:14,.0f}{of['connections_per_second_ratio']:7.2f}"
            f"{of['server_us']:16,.0f}{of['server_us_ratio']:7.2f}{of['doubtful']:8.0f}"
        )


def render(summary: dict[str, dict[str, float]], record: dict[str, Any]) -> str:
    """Return the medians as Markdown, with the method and the machine."""
    head = ["asked for", "connections/s", "ratio", "server CPU, µs", "ratio", "doubtful rounds"]
    rows = [
        [
            case.title,
            f"{of['connections_per_second']:,.0f}",
            f"{of['connections_per_second_ratio']:.2f}",
            f"{of['server_us']:,.0f}",
            f"{of['server_us_ratio']:.2f}",
            f"{of['doubtful']:.0f} of {record['rounds']}",
        ]
        for case, of in ((case, summary[case.name]) for case in CASES)
    ]
    return (
        "\n\n".join(
            [
                "# What it costs to ask when a client connects",
                METHOD.strip(),
                facts(record),
                table(head, rows),
            ]
        )
        + "\n"
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure what parameters and a token cost at connect.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it that do not count")
    parser.add_argument("--server-cpu", default="0", help="core of the server")
    parser.add_argument("--generator-cpu", default="1", help="core of the generator")
    parser.add_argument("--repeats", type=int, default=2, help="how often to repeat a disturbed measurement")
    parser.add_argument("--binaries", type=Path, help="where bolt-load is; default: build it")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of a table")
    parser.add_argument("--output", type=Path, help="also write the table, with the machine, into this file")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    bench = Bench(
        binaries=arguments.binaries.resolve() if arguments.binaries else build(),
        server_cpus=arguments.server_cpu,
        generator_cpu=arguments.generator_cpu,
        seconds=arguments.seconds,
        warmup=arguments.warmup,
        repeats=arguments.repeats,
    )
    rounds = measure(bench, arguments.rounds)
    summary = summarise(rounds)
    if arguments.output:
        record = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"python benchmarks/connect_cost.py {shlex.join(sys.argv[1:])}",
            "rounds": arguments.rounds,
            "machine": machine(),
            "versions": versions(),
        }
        arguments.output.write_text(render(summary, record), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"summary": summary, "rounds": rounds}, indent=1))
    else:
        print_table(summary)


if __name__ == "__main__":
    main()
