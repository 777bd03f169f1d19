"""What a run prints while it goes on, and at its end."""

from __future__ import annotations

from typing import Any

from harness.running import Report
from harness.scenarios import Scenario
from harness.summary import DOUBTS, value_of


def describe(server: str, scenario: Scenario, report: Report) -> str:
    """Return one measurement as a line."""
    line = f"{scenario.name:22} {server:18} {value_of(report, scenario):>12,.1f} {scenario.unit:14}"
    line += (
        f" cpu: server {report['server_utilisation']:4.0%}, generator {report['generator_utilisation']:4.0%}"
    )
    for prefix, name in (("", ""), ("delivery_", "delivery ")):
        if f"{prefix}p50_us" in report:
            line += (
                f"  {name}p50 {report[f'{prefix}p50_us']:,.0f} us, p99 {report[f'{prefix}p99_us']:,.0f} us"
            )
    line += "".join(f"  {doubt.upper()}" for doubt in DOUBTS if report[doubt])
    return line + (f"  {report['errors']} ERRORS: {report['first_error']}" if report["errors"] else "")


def print_table(summary: dict[str, Any], scenario: Scenario) -> None:
    """Print the summary of a scenario: medians, with minimum and maximum in brackets."""
    print(f"\n{scenario.name}: {scenario.title}, {scenario.unit}")
    for server, entry in summary.items():
        line = f"  {server:18}" + bracketed(entry["value"], ">12,.1f", ",.1f").ljust(44)
        for reference, ratio in entry["ratios"].items():
            line += f"{reference} is {bracketed(ratio, '.2f', '.2f')} times as good   "
        line += f"{entry['errors']} errors  " if entry["errors"] else ""
        for doubt in DOUBTS:
            line += f"{doubt} in {entry[doubt]} of {entry['rounds']}  " if entry[doubt] else ""
        print(line.rstrip())


def bracketed(numbers: dict[str, float], median: str, limits: str) -> str:
    """Return a spread as text, its numbers in these formats."""
    return f"{numbers['median']:{median}} [{numbers['min']:{limits}} - {numbers['max']:{limits}}]"
