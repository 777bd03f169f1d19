"""Run Autobahn's cases against a live ``runbolt`` and compare the outcomes with ``expected.json``.

Usage: python -m compliance.run [--quick] [--update] [--parallel N] [CASE ...]
"""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent

from compliance.compare import Difference, find_differences, find_unacceptable
from compliance.fuzzer import FuzzerError, install_fuzzer, run_fuzzer
from compliance.reduce import Outcome, Report, explain, read_expectation, read_reports, write_expectation
from compliance.server import ServerError, running_server
from compliance.table import GROUPS, Row, format_header, format_row, group_of, sum_rows

ROOT = Path(__file__).resolve().parent.parent
EXPECTATION = ROOT / "compliance" / "expected.json"
ENVIRONMENT = ROOT / ".venvs" / "compliance"
OUTPUT = ROOT / "build" / "compliance"
"""Reports of the last run, a directory for each group, and the server's log."""

ALL = tuple(f"{group}.*" for group in GROUPS)
# Of 12 and 13, which are a thousand messages a case: small messages, large ones, and large ones in fragments,
# for each payload and each set of parameters.
QUICK = (
    *(f"{group}.*" for group in ("1", "2", "3", "4", "5", "6", "7", "9", "10")),
    *("12.*.3", "12.*.6", "12.*.11", "12.1.10", "12.1.18"),
    *("13.*.3", "13.*.6", "13.*.11"),
)
SHOWN_DIFFERENCES = 40
"""Differences that are explained in full; a list of hundreds has one cause."""


def main(arguments: Sequence[str]) -> int:
    """Run, compare and say so; return the exit status: 1 for differences, 2 when nothing could be compared."""
    options = _parse(arguments)
    patterns = options.case or (QUICK if options.quick else ALL)
    try:
        reports = run_groups(patterns, options.parallel)
    except (FuzzerError, ServerError) as error:
        print(error, file=sys.stderr)
        return 2
    outcomes = {case: report.outcome for case, report in reports.items()}
    if options.update:
        return update_expectation(outcomes, reports)
    return compare_with_expectation(outcomes, reports, patterns)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compliance.run", description=__doc__)
    parser.add_argument("case", nargs="*", help="a case or a pattern, such as 9.1.6 or 12.*; default: all")
    parser.add_argument("--quick", action="store_true", help="groups 1-7, 9 and 10, and some of 12 and 13")
    parser.add_argument("--update", action="store_true", help="write the outcomes into expected.json")
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="cases at a time (default: 2)")
    options = parser.parse_args(arguments)
    if options.case and options.quick:
        parser.error("name cases, or use --quick")
    return options


def run_groups(patterns: Sequence[str], parallel: int) -> dict[str, Report]:
    """Run the cases group by group, each row of the table printed as soon as it is known.

    Raises:
        FuzzerError, ServerError: Nothing can be compared.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    program = install_fuzzer(ENVIRONMENT)
    reports: dict[str, Report] = {}
    rows: list[Row] = []
    with running_server(OUTPUT / "server.log") as server:
        print(format_header(), flush=True)
        for group in dict.fromkeys(map(group_of, patterns)):
            started = time.monotonic()
            chosen = [pattern for pattern in patterns if group_of(pattern) == group]
            run_fuzzer(program, server.address, chosen, OUTPUT / group, parallel)
            server.check()
            found = read_reports(OUTPUT / group)
            reports |= found
            outcomes = [report.outcome for report in found.values()]
            rows.append(Row.count(group, outcomes, time.monotonic() - started))
            print(format_row(rows[-1]), flush=True)
        print(format_row(sum_rows(rows)), flush=True)
    return reports


def compare_with_expectation(
    outcomes: Mapping[str, Outcome], reports: Mapping[str, Report], patterns: Sequence[str]
) -> int:
    """Print what differs from the expectation; return the exit status."""
    differences = find_differences(read_expectation(EXPECTATION), outcomes, patterns)
    for difference in differences[:SHOWN_DIFFERENCES]:
        print(f"\n{_explain(difference, reports)}")
    for difference in differences[SHOWN_DIFFERENCES:]:
        print(difference)
    if differences:
        print(f"\nOf {len(outcomes)} cases, {len(differences)} differ from {EXPECTATION.relative_to(ROOT)}.")
        return 1
    print(f"\nAll {len(outcomes)} cases end as expected.")
    return 0


def _explain(difference: Difference, reports: Mapping[str, Report]) -> str:
    report = reports.get(difference.case)
    return f"{difference}\n{_details(difference.case, report)}" if report else str(difference)


def _details(case: str, report: Report) -> str:
    path = OUTPUT / group_of(case) / report.file
    return indent(f"{explain(path)}\nreport: {path.relative_to(ROOT)}", "  ")


def update_expectation(outcomes: Mapping[str, Outcome], reports: Mapping[str, Report]) -> int:
    """Write the outcomes into the expectation, unless one is such that none may be written."""
    unacceptable = find_unacceptable(outcomes)
    for case in unacceptable:
        print(f"\n{case}: {outcomes[case]}\n{_details(case, reports[case])}")
    if unacceptable:
        print(f"\nNothing is written: neither OK nor INFORMATIONAL are {', '.join(unacceptable)}.")
        return 1
    kept = read_expectation(EXPECTATION) if EXPECTATION.exists() else {}
    write_expectation(EXPECTATION, {**kept, **outcomes})
    print(f"\n{len(outcomes)} cases are written into {EXPECTATION.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
