"""What becomes of measurements: medians, ratios within rounds, marks."""

from __future__ import annotations

from typing import Any

import pytest
from harness.recording import Result
from harness.scenarios import SCENARIOS, Scenario
from harness.summary import spread, summarise

ECHO = next(scenario for scenario in SCENARIOS if scenario.name == "echo-16")
IDLE = next(scenario for scenario in SCENARIOS if scenario.name == "idle-10000")


def result(scenario: Scenario, server: str, number: int, value: float, **others: Any) -> Result:
    report = {
        "server_utilisation": 1.0,
        "generator_utilisation": 0.5,
        "errors": 0,
        "generator_bound": False,
        "disturbed": False,
        **others,
    }
    return Result(number, scenario.name, server, {scenario.metric: value, **report})


def test_ratios_are_computed_within_a_round_not_between_medians() -> None:
    # The machine got ten times faster between the rounds; bolt stayed twice as fast.
    values = {"bolt": [20, 200, 2000], "picows": [10, 100, 1000]}
    results = [result(ECHO, s, n, v) for s, numbers in values.items() for n, v in enumerate(numbers)]
    summary = summarise(results, ECHO)
    assert summary["picows"]["ratios"]["bolt"] == spread([2, 2, 2])
    assert summary["picows"]["value"] == {"median": 100, "min": 10, "max": 1000}
    assert summary["bolt"]["ratios"] == {}


def test_less_memory_is_better() -> None:
    summary = summarise([result(IDLE, "bolt", 0, 2048), result(IDLE, "picows", 0, 8192)], IDLE)
    assert summary["picows"]["ratios"]["bolt"]["median"] == pytest.approx(4)
    assert summary["bolt"]["value"]["median"] == pytest.approx(2), "in KiB"


def test_rounds_that_one_side_misses_make_no_ratio() -> None:
    results = [result(ECHO, "bolt", 0, 30), result(ECHO, "picows", 0, 10), result(ECHO, "picows", 1, 1)]
    assert summarise(results, ECHO)["picows"]["ratios"]["bolt"]["median"] == pytest.approx(3)


def test_nothing_measured_is_no_division_by_zero() -> None:
    results = [result(ECHO, "bolt", 0, 30), result(ECHO, "picows", 0, 0, errors=7)]
    summary = summarise(results, ECHO)
    assert summary["picows"]["ratios"] == {}
    assert summary["picows"]["errors"] == 7


def test_doubts_are_counted() -> None:
    results = [result(ECHO, "bolt", n, 1, disturbed=n == 0, generator_bound=True) for n in range(3)]
    entry = summarise(results, ECHO)["bolt"]
    assert (entry["disturbed"], entry["generator_bound"], entry["rounds"]) == (1, 3, 3)
