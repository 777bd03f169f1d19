"""The report: every row, losing ones and missing ones too."""

from __future__ import annotations

from typing import Any

from harness.recording import Result, without_places
from harness.rendering import render
from harness.running import ROOT
from harness.scenarios import SCENARIOS
from harness.summary import summarise

from tests.benchmarks.test_summary import ECHO, result


def record(results: list[Result], **others: Any) -> dict[str, Any]:
    about = {"title": ECHO.title, "metric": ECHO.metric, "unit": ECHO.unit, "more_is_better": True}
    return {
        "when": "2026-01-01T00:00:00+00:00",
        "command": "python benchmarks/compare.py",
        "rounds": 1,
        "seconds": 1.0,
        "cores": {"server": "0", "generator": "1"},
        "machine": {
            "cpu": "a processor",
            "cpus": 2,
            "memory_gib": 4.0,
            "architecture": "x86_64",
            "kernel": "Linux 6",
            "tcp_congestion_control": "cubic",
            "load_average": [0.0, 0.0, 0.0],
        },
        "versions": {"python": "3.11"},
        "environments": {},
        "unavailable": {},
        "servers": {key: {"notes": "", "command": "serve"} for key in ("bolt", "picows", "limit")},
        "scenarios": {ECHO.name: {**about, "command": "bolt-load echo"}},
        "summary": {scenario.name: summarise(results, scenario) for scenario in SCENARIOS},
        "failures": [],
        "measurements": [vars(result) for result in results],
        **others,
    }


def test_losing_rows_stay_in() -> None:
    text = render(record([result(ECHO, "bolt", 0, 30), result(ECHO, "picows", 0, 120)]), {})
    assert "| picows | 120 [120 – 120] | 0.25 [0.25 – 0.25] |" in text
    assert "| echo-16 | bolt against picows | ≥ 8 | 0.25 | **missed** |  |" in text
    assert "| echo-16 | bolt against limit | ≥ 0.5 | not measured |  |  |" in text


def test_targets_that_the_run_was_not_about_are_left_out() -> None:
    text = render(record([]), {})
    assert "| echo-16 | bolt against picows | ≥ 8 | not measured |  |  |" in text
    assert "bolt against socketify" not in text
    assert "bolt against picows in" not in text
    assert "idle-10000" not in text


def test_targets_that_are_reached() -> None:
    limit = result(ECHO, "limit", 0, 900)
    text = render(record([result(ECHO, "bolt", 0, 800), result(ECHO, "picows", 0, 100), limit]), {})
    assert "| echo-16 | bolt against picows | ≥ 8 | 8.00 | met | 9.00 |" in text


def test_what_is_missing_is_named() -> None:
    failure = {"round": 0, "scenario": "echo-16", "server": "aiohttp", "reason": "long\nstory\n"}
    text = render(record([], unavailable={"node-ws": "node is not here"}, failures=[failure]), {})
    assert "* node-ws: node is not here" in text
    assert "* aiohttp in echo-16, round 1: story" in text


def test_doubtful_rows_are_marked() -> None:
    text = render(record([result(ECHO, "bolt", 0, 1, disturbed=True, errors=2)]), {})
    assert "`disturbed` 1/1, **2 errors**" in text


def test_a_run_does_not_tell_where_the_checkout_lies() -> None:
    assert (
        without_places(f"{ROOT}/benchmarks/x.py:1: warning in {ROOT}/y") == "benchmarks/x.py:1: warning in y"
    )
