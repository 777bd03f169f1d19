"""Write the tables of settings, limits and options into the documentation, from the metadata of their fields.

Usage: python scripts/settings_table.py [--check]

With ``--check`` nothing is written; the exit status is 1 if a page is not current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from django_bolt.compression import Compression
from django_bolt.conf import BoltSettings

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN = "<!-- Begin of the table that scripts/settings_table.py writes. -->"
END = "<!-- End of that table. -->"


def main(arguments: list[str]) -> int:
    """Bring the pages up to date, or say whether they are; return the exit status."""
    outdated = [
        page for page, table in TABLES.items() if insert((DOCS / page).read_text(), table()) is not None
    ]
    if "--check" in arguments:
        for page in outdated:
            print(f"{DOCS / page} is not current: run `make docs`.", file=sys.stderr)
        return 1 if outdated else 0
    for page in outdated:
        (DOCS / page).write_text(insert((DOCS / page).read_text(), TABLES[page]()) or "")
    return 0


def insert(page: str, text: str) -> str | None:
    """Return the page with `text` between the two marks; None if it is there already."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    current = f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
    return None if current == page else current


def settings_table() -> str:
    """Return all settings."""
    rows = (
        [name(entry), default(entry.metadata["default"]), entry.metadata["unit"], meaning(entry)]
        for entry in fields(BoltSettings)
    )
    return table(["Setting", "Default", "Unit", "Meaning"], rows)


def meaning(entry: Field[Any]) -> str:
    """Return what a setting is for, and what happens beyond it if it is a limit."""
    description: str = entry.metadata["description"]
    return f"{description} Beyond it: {entry.metadata['answer']}" if is_limit(entry) else description


def limits_table() -> str:
    """Return the settings that are limits."""
    rows = (
        [
            name(entry),
            default(entry.metadata["default"]),
            entry.metadata["unit"],
            entry.metadata["scope"],
            entry.metadata["description"],
            entry.metadata["answer"],
        ]
        for entry in fields(BoltSettings)
        if is_limit(entry)
    )
    return table(["Setting", "Default", "Unit", "For", "What", "Beyond it"], rows)


def is_limit(entry: Field[Any]) -> bool:
    """Whether a setting bounds something."""
    return "answer" in entry.metadata


def options_table() -> str:
    """Return the options of compression."""
    rows = (
        [f"`{entry.name}`", default(entry.default), value_range(entry), entry.metadata["description"]]
        for entry in fields(Compression)
    )
    return table(["Option", "Default", "Values", "Meaning"], rows)


def value_range(entry: Field[Any]) -> str:
    """Return what an option may be."""
    least, most = entry.metadata["least"], entry.metadata["most"]
    return "`True`, `False`" if least is None else f"{least:_} to {most:_}"


def name(entry: Field[Any]) -> str:
    """Return the name of a setting."""
    return f"`{entry.name.upper()}`"


def default(value: Any) -> str:
    """Return a default as one writes it."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"`{value:_}`" if is_number else f"`{value!r}`"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def line(cells: list[str]) -> str:
    """Return one row."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


TABLES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_table,
    "reference/limits.md": limits_table,
    "topics/compression.md": options_table,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
