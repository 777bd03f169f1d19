from __future__ import annotations

from typing import Any

from connect_cost import CASES, summarise


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
