"""Medians with spread, and ratios within each round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.scenarios import Scenario

if TYPE_CHECKING:
    from harness.recording import Result

# Ratios are those of these to every other server.
REFERENCES = ["bolt", "bolt-redis"]
DETAILS = [
    "p50_us",
    "p99_us",
    "p999_us",
    "delivery_p50_us",
    "delivery_p99_us",
    "messages_per_second",
    "pings",
]
DOUBTS = ["generator_bound", "disturbed"]


def summarise(results: Iterable[Result], scenario: Scenario) -> dict[str, Any]:
    """Return, for each server that ran it, spread and details of its numbers, and ratios within the rounds."""
    by_server: dict[str, dict[int, dict[str, Any]]] = {}
    for result in results:
        if result.scenario == scenario.name:
            by_server.setdefault(result.server, {})[result.round] = result.report
    numbers = {
        server: {number: value_of(report, scenario) for number, report in rounds.items()}
        for server, rounds in by_server.items()
    }
    summary: dict[str, Any] = {}
    for server, rounds in by_server.items():
        reports = list(rounds.values())
        summary[server] = {
            "value": spread(numbers[server].values()),
            "ratios": ratios(numbers, server, scenario),
            **{name: median_of(reports, name) for name in DETAILS if name in reports[0]},
            "server_cpu": median_of(reports, "server_utilisation"),
            "generator_cpu": median_of(reports, "generator_utilisation"),
            "errors": sum(report["errors"] for report in reports),
            "rounds": len(reports),
            **{doubt: sum(report[doubt] for report in reports) for doubt in DOUBTS},
        }
    return summary


def value_of(report: dict[str, Any], scenario: Scenario) -> float:
    """Return the scenario's number in its unit."""
    return float(report[scenario.metric]) * scenario.factor


def ratios(numbers: dict[str, dict[int, float]], server: str, scenario: Scenario) -> dict[str, Any]:
    """Return how many times better each reference is than the server; below 1 it is worse."""
    found = {}
    for reference in REFERENCES:
        both = numbers.get(reference, {}).keys() & numbers[server].keys()
        pairs = [(numbers[reference][number], numbers[server][number]) for number in sorted(both)]
        if reference != server and pairs and all(min(pair) > 0 for pair in pairs):
            better = (a / b if scenario.more_is_better else b / a for a, b in pairs)
            found[reference] = spread(better)
    return found


def spread(numbers: Iterable[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    numbers = list(numbers)
    return {
        "median": round(statistics.median(numbers), 4),
        "min": round(min(numbers), 4),
        "max": round(max(numbers), 4),
    }


def median_of(reports: list[dict[str, Any]], name: str) -> float | None:
    """Return the median of a field of the reports."""
    values = [report[name] for report in reports if report[name] is not None]
    return statistics.median(values) if values else None
