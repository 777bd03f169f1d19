from __future__ import annotations

from typing import Any

from connect_cost import CASES, render, summarise

from tests.benchmarks.test_rendering import record


def report(speed: float, cpu: float, *, disturbed: bool = False) -> dict[str, Any]:
    """Return what a measurement says of a case."""
    return {
        "connections_per_second": speed,
        "server_us": cpu,
        "disturbed": disturbed,
        "generator_bound": False,
    }


def test_numbers_and_ratios_are_medians_and_ratios_are_those_within_a_round() -> None:
    # The machine is twice as fast in the second round, four times in the third.
    rounds = [
        {
            case.name: report(1000 * pace / place, 100 * place / pace, disturbed=pace == 4)
            for place, case in enumerate(CASES, start=1)
        }
        for pace in (1, 2, 4)
    ]
    rounds[1]["token"]["server_us"] = 50.0  # one measurement of its own kind does not count
    summary = summarise(rounds)
    assert list(summary) == ["none", "parameters", "token", "both"]
    assert summary["none"]["connections_per_second"] == 2000
    assert summary["none"]["server_us_ratio"] == summary["none"]["connections_per_second_ratio"] == 1
    assert summary["parameters"]["connections_per_second_ratio"] == 1 / 2
    assert summary["token"]["server_us_ratio"] == 3
    assert {case["doubtful"] for case in summary.values()} == {1}


def test_the_report_has_every_case_and_says_what_it_was_measured_on() -> None:
    case = {"connections_per_second": 1234.5, "connections_per_second_ratio": 0.5}
    more = {"server_us": 99.6, "server_us_ratio": 2.0, "doubtful": 1}
    text = render({entry.name: case | more for entry in CASES}, record([], rounds=3))
    for entry in CASES:
        assert f"| {entry.title} | 1,234 | 0.50 | 100 | 2.00 | 1 of 3 |" in text
    assert "a processor, 2 cores" in text
