"""Outcomes against the expectation."""

from __future__ import annotations

import pytest

from compliance.compare import (
    Difference,
    find_differences,
    find_unacceptable,
    is_acceptable,
    select,
    verdict,
)
from compliance.reduce import Outcome

OK = Outcome("OK", "OK", 1000)
EXPECTED = {"1.1.1": OK, "7.3.1": Outcome("OK", "OK", None), "10.1.1": OK}


def test_a_run_as_expected_has_no_differences() -> None:
    assert find_differences(EXPECTED, dict(EXPECTED), ["1.*", "7.*", "10.*"]) == []


@pytest.mark.parametrize(
    "actual",
    [Outcome("NON-STRICT", "OK", 1000), Outcome("OK", "UNCLEAN", 1000), Outcome("OK", "OK", 1002)],
)
def test_each_part_of_an_outcome_counts(actual: Outcome) -> None:
    found = find_differences(EXPECTED, {**EXPECTED, "1.1.1": actual}, ["*"])
    assert found == [Difference("1.1.1", OK, actual)]


def test_a_lost_close_code_is_a_difference_although_the_fuzzer_tolerates_it() -> None:
    [found] = find_differences(EXPECTED, {**EXPECTED, "10.1.1": Outcome("OK", "OK", None)}, ["*"])
    assert str(found) == "10.1.1: expected OK / OK / 1000, was OK / OK / no close code"


def test_only_what_was_selected_is_compared() -> None:
    assert find_differences(EXPECTED, {"1.1.1": OK}, ["1.*"]) == []


def test_a_selected_case_without_a_report_is_a_difference() -> None:
    [found] = find_differences(EXPECTED, {"1.1.1": OK}, ["1.*", "7.*"])
    assert str(found) == "7.3.1: expected OK / OK / no close code, was not reported"


def test_a_case_that_the_expectation_does_not_know_is_a_difference() -> None:
    [found] = find_differences(EXPECTED, {"2.1": OK}, ["2.*"])
    assert str(found) == "2.1: expected no such case, was OK / OK / 1000"


def test_differences_come_in_the_order_of_their_numbers() -> None:
    assert [found.case for found in find_differences(EXPECTED, {}, ["*"])] == ["1.1.1", "7.3.1", "10.1.1"]


def test_a_pattern_selects_its_group_only() -> None:
    cases = ["1.1.1", "10.1.1", "12.1.3", "12.2.3", "12.1.13"]
    assert select(cases, ["1.*"]) == ["1.1.1"]
    assert select(cases, ["12.*.3"]) == ["12.1.3", "12.2.3"]
    assert select(cases, ["10.1.1", "1.*"]) == ["1.1.1", "10.1.1"]


@pytest.mark.parametrize(
    ("behavior", "close", "expected"),
    [
        ("OK", "OK", "OK"),
        ("INFORMATIONAL", "INFORMATIONAL", "INFORMATIONAL"),
        ("OK", "INFORMATIONAL", "INFORMATIONAL"),
        ("NON-STRICT", "OK", "NON-STRICT"),
        ("UNIMPLEMENTED", "OK", "UNIMPLEMENTED"),
        ("INFORMATIONAL", "FAILED", "FAILED"),
        ("OK", "UNCLEAN", "FAILED"),
        ("OK", "WRONG CODE", "FAILED"),
        ("OK", "FAILED BY CLIENT", "FAILED"),
        ("ERROR", "FAILED", "FAILED"),
    ],
)
def test_the_verdict_is_the_worse_judgement(behavior: str, close: str, expected: str) -> None:
    outcome = Outcome(behavior, close, 1000)
    assert verdict(outcome) == expected
    assert is_acceptable(outcome) == (expected in ("OK", "INFORMATIONAL"))


def test_what_no_expectation_may_hold_is_found() -> None:
    outcomes = {"12.1.1": Outcome("UNIMPLEMENTED", "OK", 1000), "6.4.1": Outcome("NON-STRICT", "OK", 1007)}
    assert find_unacceptable({**EXPECTED, **outcomes}) == ["6.4.1", "12.1.1"]
