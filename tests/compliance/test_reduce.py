"""Reports of the fuzzer, reduced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compliance.reduce import (
    Outcome,
    Report,
    case_key,
    explain,
    read_expectation,
    read_reports,
    reduce_index,
    sort_cases,
    write_expectation,
)

OK = Outcome("OK", "OK", 1000)


def entry(case: str, behavior: str = "OK", close: str = "OK", code: int | None = 1000) -> dict[str, Any]:
    return {
        "behavior": behavior,
        "behaviorClose": close,
        "remoteCloseCode": code,
        "duration": 3,
        "reportfile": f"agent_case_{case.replace('.', '_')}.json",
    }


def test_cases_sort_by_their_numbers() -> None:
    assert sort_cases(["10.1.1", "9.2.10", "9.2.9", "5.3"]) == ["5.3", "9.2.9", "9.2.10", "10.1.1"]
    assert case_key("7.13.1") == (7, 13, 1)


def test_the_index_is_reduced_to_outcome_and_report() -> None:
    index = {"agent": {"1.1.1": entry("1.1.1"), "3.2": entry("3.2", "NON-STRICT", "UNCLEAN", None)}}
    assert reduce_index(index) == {
        "1.1.1": Report(OK, "agent_case_1_1_1.json"),
        "3.2": Report(Outcome("NON-STRICT", "UNCLEAN", None), "agent_case_3_2.json"),
    }


def test_cases_of_every_agent_are_read() -> None:
    """A server that refuses the opening handshake does not name itself, so the fuzzer names it by address."""
    index = {"server": {"1.1.1": entry("1.1.1")}, "127.0.0.1:9": {"1.1.2": entry("1.1.2", "ERROR", "FAILED")}}
    assert reduce_index(index).keys() == {"1.1.1", "1.1.2"}


def test_reports_are_read_from_the_index_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps({"agent": {"2.1": entry("2.1")}}))
    assert read_reports(tmp_path) == {"2.1": Report(OK, "agent_case_2_1.json")}


def test_an_expectation_is_read_as_it_was_written(tmp_path: Path) -> None:
    outcomes = {"10.1.1": OK, "7.3.1": Outcome("OK", "OK", None), "7.13.1": Outcome("A", "B", 1002)}
    path = tmp_path / "expected.json"
    write_expectation(path, outcomes)
    assert read_expectation(path) == outcomes


def test_an_expectation_has_a_line_for_each_case_in_order(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    write_expectation(path, {"10.1.1": OK, "9.1.1": OK})
    assert path.read_text() == (
        "{\n"
        '  "9.1.1": {"behavior": "OK", "behaviorClose": "OK", "remoteCloseCode": 1000},\n'
        '  "10.1.1": {"behavior": "OK", "behaviorClose": "OK", "remoteCloseCode": 1000}\n'
        "}\n"
    )


def test_a_report_is_explained_in_the_words_of_the_fuzzer(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = {
        "description": "Send <br> a\n  ping.",
        "expectation": "A pong.",
        "result": "Actual events differ from any expected.",
        "resultClose": "The spec requires the connection to be failed cleanly here",
        "wasNotCleanReason": "peer dropped the TCP connection",
    }
    path.write_text(json.dumps(report))
    assert explain(path).splitlines() == [
        "case: Send a ping.",
        "expectation: A pong.",
        "result: Actual events differ from any expected.",
        "close: The spec requires the connection to be failed cleanly here",
        "not clean because: peer dropped the TCP connection",
    ]
    path.write_text(json.dumps({**report, "wasNotCleanReason": None}))
    assert "not clean" not in explain(path)


def test_an_outcome_says_that_a_close_code_is_missing() -> None:
    assert str(OK) == "OK / OK / 1000"
    assert str(Outcome("OK", "UNCLEAN", None)) == "OK / UNCLEAN / no close code"
