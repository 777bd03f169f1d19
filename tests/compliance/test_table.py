"""The table of outcomes."""

from __future__ import annotations

from compliance.reduce import Outcome
from compliance.table import Row, format_header, format_row, group_of, sum_rows

OK = Outcome("OK", "OK", 1000)


def cells(row: Row) -> dict[str, str]:
    """Return the cells of a printed row by the heading that they stand under."""
    headings = [
        "cases",
        "OK",
        "INFORMATIONAL",
        "NON-STRICT",
        "FAILED",
        "UNIMPLEMENTED",
        "no close code",
        "seconds",
    ]
    line, header = format_row(row), format_header()
    ends = [header.index(f"  {heading}") + 2 + len(heading) for heading in headings]
    starts = [header.index("  cases"), *ends]
    return {name: line[start:end].strip() for name, start, end in zip(headings, starts, ends, strict=False)}


def test_the_group_is_the_first_number() -> None:
    assert (group_of("12.1.3"), group_of("9.*")) == ("12", "9")


def test_a_row_counts_verdicts_and_missing_codes() -> None:
    outcomes = [OK, OK, Outcome("NON-STRICT", "OK", None), Outcome("OK", "UNCLEAN", None)]
    row = Row.count("7", outcomes, 1.26)
    assert row.name == " 7 Closing handshake"
    assert cells(row) == {
        "cases": "4",
        "OK": "2",
        "INFORMATIONAL": "0",
        "NON-STRICT": "1",
        "FAILED": "1",
        "UNIMPLEMENTED": "0",
        "no close code": "2",
        "seconds": "1.3",
    }


def test_the_last_row_sums_all() -> None:
    first = Row.count("1", [OK], 1.0)
    second = Row.count("13", [Outcome("UNIMPLEMENTED", "OK", None)], 2.0)
    total = sum_rows([first, second])
    assert (total.verdicts["OK"], total.verdicts["UNIMPLEMENTED"]) == (1, 1)
    assert (total.without_code, total.seconds) == (1, 3.0)


def test_rows_line_up_with_the_headings() -> None:
    assert len(format_row(Row.count("13", [OK], 123.4))) == len(format_header())
