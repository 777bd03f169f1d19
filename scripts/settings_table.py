"""Write the table of settings into the documentation, from the metadata of `django_bolt.conf.BoltSettings`.

Usage: python scripts/settings_table.py [--check]

With ``--check`` nothing is written; the exit status is 1 if the page is not current.
"""

from __future__ import annotations

import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from django_bolt.conf import BoltSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"
BEGIN = "<!-- Begin of the table that scripts/settings_table.py writes. -->"
END = "<!-- End of that table. -->"


def main(arguments: list[str]) -> int:
    """Bring the page up to date, or say whether it is; return the exit status."""
    page = PAGE.read_text()
    current = insert(page, table())
    if page == current:
        return 0
    if "--check" in arguments:
        print(f"{PAGE} is not current: run `make docs`.", file=sys.stderr)
        return 1
    PAGE.write_text(current)
    return 0


def insert(page: str, text: str) -> str:
    """Return the page with `text` between the two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def table() -> str:
    """Return the settings as a Markdown table."""
    lines = ["| Setting | Default | Unit | Meaning |", "|---|---|---|---|"]
    return "\n".join(lines + [row(entry) for entry in fields(BoltSettings)])


def row(entry: Field[Any]) -> str:
    """Return one setting as a row of the table."""
    default = entry.metadata["default"]
    shown = f"{default:_}" if isinstance(default, int) else repr(default)
    cells = [f"`{entry.name.upper()}`", f"`{shown}`", entry.metadata["unit"], entry.metadata["description"]]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
