"""The committed expectation holds what the project promises, so that no update can lower it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from compliance.compare import find_unacceptable, select, verdict
from compliance.reduce import read_expectation, sort_cases, write_expectation
from compliance.run import ALL, EXPECTATION, QUICK
from compliance.table import GROUPS, group_of

EXPECTED = read_expectation(EXPECTATION)


def test_every_case_of_autobahn_is_expected() -> None:
    assert Counter(map(group_of, EXPECTED)) == {
        "1": 16,
        "2": 11,
        "3": 7,
        "4": 10,
        "5": 20,
        "6": 145,
        "7": 37,
        "9": 54,
        "10": 1,
        "12": 90,
        "13": 126,
    }
    assert len(EXPECTED) == 517
    assert GROUPS.keys() == set(map(group_of, EXPECTED))


def test_every_case_is_ok_or_left_open_by_the_rfc() -> None:
    assert find_unacceptable(EXPECTED) == []
    # 7.1.6: data after the client's Close; 7.13.*: close codes that are not defined.
    assert [case for case in sort_cases(EXPECTED) if verdict(EXPECTED[case]) != "OK"] == [
        "7.1.6",
        "7.13.1",
        "7.13.2",
    ]


def test_the_server_ends_no_case_without_a_close_code_of_its_own_accord() -> None:
    """RFC 6455, section 5.5.1: the answer echoes the code, and the Close of 7.3.1 has none."""
    assert [case for case, outcome in EXPECTED.items() if outcome.remote_close_code is None] == ["7.3.1"]


def test_the_patterns_of_a_full_run_select_every_case() -> None:
    assert select(EXPECTED, ALL) == sort_cases(EXPECTED)


def test_a_quick_run_has_all_of_1_to_7_and_10_and_some_of_each_other_group() -> None:
    quick = Counter(map(group_of, select(EXPECTED, QUICK)))
    for group in ("1", "2", "3", "4", "5", "6", "7", "10"):
        assert quick[group] == len(select(EXPECTED, [f"{group}.*"]))
    assert all(quick[group] >= 10 for group in ("9", "12", "13"))


def test_the_file_is_as_an_update_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    write_expectation(path, EXPECTED)
    assert path.read_text() == EXPECTATION.read_text()
