"""What the fuzzer reports, reduced to what the committed expectation holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Outcome",
    "Report",
    "case_key",
    "explain",
    "read_expectation",
    "read_reports",
    "reduce_index",
    "sort_cases",
    "write_expectation",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended.

    Attributes:
        behavior: Autobahn's judgement of the messages and control frames, such as ``OK``.
        behavior_close: Its judgement of the closing handshake.
        remote_close_code: The code in the server's Close frame; None when it had none, or never came.
    """

    behavior: str
    behavior_close: str
    remote_close_code: int | None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Outcome:
        """Read the three keys from a report or from the expectation, whatever else is there."""
        return cls(entry["behavior"], entry["behaviorClose"], entry["remoteCloseCode"])

    def to_json(self) -> dict[str, Any]:
        """Return it under the names that Autobahn uses."""
        return {
            "behavior": self.behavior,
            "behaviorClose": self.behavior_close,
            "remoteCloseCode": self.remote_close_code,
        }

    def __str__(self) -> str:
        code = "no close code" if self.remote_close_code is None else self.remote_close_code
        return f"{self.behavior} / {self.behavior_close} / {code}"


@dataclass(frozen=True, slots=True)
class Report:
    """One case of one run.

    Attributes:
        outcome: How it ended.
        file: Name of the full report, beside the index.
    """

    outcome: Outcome
    file: str


def case_key(case_id: str) -> tuple[int, ...]:
    """Return what sorts cases as their numbers count, 9.2 before 10.1."""
    return tuple(map(int, case_id.split(".")))


def sort_cases(case_ids: Iterable[str]) -> list[str]:
    """Return the cases in the order of their numbers."""
    return sorted(case_ids, key=case_key)


def reduce_index(index: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Report]:
    """Reduce the fuzzer's ``index.json`` to a report for each case.

    Args:
        index: Agent to case to entry. There are two agents when a case failed before the server named itself.
    """
    return {
        case_id: Report(Outcome.from_json(entry), entry["reportfile"])
        for cases in index.values()
        for case_id, entry in cases.items()
    }


def read_reports(directory: Path) -> dict[str, Report]:
    """Read what a run of the fuzzer left in its directory."""
    return reduce_index(json.loads((directory / "index.json").read_text(encoding="utf-8")))


def explain(path: Path) -> str:
    """Say in the fuzzer's own words what a full report expected and what came."""
    report = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"case: {_one_line(report['description'])}",
        f"expectation: {_one_line(report['expectation'])}",
        f"result: {report['result']}",
        f"close: {report['resultClose']}",
        f"not clean because: {report['wasNotCleanReason']}" if report["wasNotCleanReason"] else "",
    ]
    return "\n".join(line for line in lines if line)


def _one_line(text: str) -> str:
    return " ".join(text.replace("<br>", " ").split())


def read_expectation(path: Path) -> dict[str, Outcome]:
    """Read the committed expectation."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {case_id: Outcome.from_json(entry) for case_id, entry in entries.items()}


def write_expectation(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write the expectation with a line for each case, so that a change of one shows as one line."""
    lines = (f'"{case}": {json.dumps(outcomes[case].to_json())}' for case in sort_cases(outcomes))
    path.write_text("{\n  " + ",\n  ".join(lines) + "\n}\n", encoding="utf-8")
