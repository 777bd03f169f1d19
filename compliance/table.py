"""The table of outcomes, a row for each group of cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from compliance.compare import verdict
from compliance.reduce import Outcome

__all__ = ["GROUPS", "Row", "format_header", "format_row", "group_of", "sum_rows"]

GROUPS = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing handshake",
    "9": "Limits and performance",
    "10": "Miscellaneous",
    "12": "Compression, payloads",
    "13": "Compression, parameters",
}
"""Autobahn's groups; it has no 8, and 11 was never released."""

_VERDICTS = ("OK", "INFORMATIONAL", "NON-STRICT", "FAILED", "UNIMPLEMENTED")
_HEADINGS = ("cases", *_VERDICTS, "no close code", "seconds")
_WIDTHS = tuple(len(heading) for heading in _HEADINGS)
_NAME_WIDTH = 27


@dataclass(frozen=True, slots=True)
class Row:
    """The counts of one group.

    Attributes:
        name: First column.
        verdicts: Cases by verdict.
        without_code: Cases that the server ended without a close code.
        seconds: How long the group took.
    """

    name: str
    verdicts: Counter[str]
    without_code: int
    seconds: float

    @classmethod
    def count(cls, group: str, outcomes: Collection[Outcome], seconds: float) -> Row:
        """Count the outcomes of a group."""
        return cls(
            name=f"{group:>2} {GROUPS.get(group, '')}".rstrip(),
            verdicts=Counter(map(verdict, outcomes)),
            without_code=sum(outcome.remote_close_code is None for outcome in outcomes),
            seconds=seconds,
        )


def group_of(case: str) -> str:
    """Return the group of a case or of a pattern."""
    return case.partition(".")[0]


def sum_rows(rows: Collection[Row]) -> Row:
    """Return the last row."""
    verdicts: Counter[str] = Counter()
    for row in rows:
        verdicts.update(row.verdicts)
    return Row("all", verdicts, sum(row.without_code for row in rows), sum(row.seconds for row in rows))


def format_header() -> str:
    """Return the headings."""
    return "  ".join(["group".ljust(_NAME_WIDTH), *_HEADINGS])


def format_row(row: Row) -> str:
    """Return a row that lines up with the headings."""
    counts = [row.verdicts.total(), *(row.verdicts[name] for name in _VERDICTS), row.without_code]
    cells = [*map(str, counts), f"{row.seconds:.1f}"]
    aligned = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join([row.name.ljust(_NAME_WIDTH), *aligned])
