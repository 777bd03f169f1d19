"""Outcomes held against the expectation, and against what is never accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from compliance.reduce import Outcome, sort_cases

__all__ = ["Difference", "find_differences", "find_unacceptable", "is_acceptable", "select", "verdict"]

# What RFC 6455 leaves open, by Autobahn's own judgement.
_OPEN = "INFORMATIONAL"
_VERDICTS = ("FAILED", "UNIMPLEMENTED", "NON-STRICT", _OPEN, "OK")


@dataclass(frozen=True, slots=True)
class Difference:
    """A case that did not end as expected; None stands for a case that is not there."""

    case: str
    expected: Outcome | None
    actual: Outcome | None

    def __str__(self) -> str:
        expected = self.expected or "no such case"
        actual = self.actual or "not reported"
        return f"{self.case}: expected {expected}, was {actual}"


def select(case_ids: Iterable[str], patterns: Collection[str]) -> list[str]:
    """Return the cases that match one of the patterns, in the order of their numbers."""
    return sort_cases(case for case in case_ids if any(fnmatchcase(case, pattern) for pattern in patterns))


def find_differences(
    expected: Mapping[str, Outcome], actual: Mapping[str, Outcome], patterns: Collection[str]
) -> list[Difference]:
    """Return the differences among the selected cases.

    Args:
        expected: The whole expectation.
        actual: The outcomes of the selected cases.
        patterns: What was selected; a case that matches and has no outcome is a difference.
    """
    wanted = select(expected.keys() | actual.keys(), patterns)
    pairs = (Difference(case, expected.get(case), actual.get(case)) for case in wanted)
    return [pair for pair in pairs if pair.expected != pair.actual]


def verdict(outcome: Outcome) -> str:
    """Return the worse of the two judgements.

    ``UNCLEAN``, ``WRONG CODE``, ``FAILED BY CLIENT`` and ``ERROR`` count as ``FAILED``.
    """
    judgements = (outcome.behavior, outcome.behavior_close)
    return min((name if name in _VERDICTS else "FAILED" for name in judgements), key=_VERDICTS.index)


def is_acceptable(outcome: Outcome) -> bool:
    """Tell whether an expectation may hold this outcome."""
    return verdict(outcome) in ("OK", _OPEN)


def find_unacceptable(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return the cases whose outcome no expectation may hold."""
    return sort_cases(case for case, outcome in outcomes.items() if not is_acceptable(outcome))
