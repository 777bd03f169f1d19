"""What is taken from people."""

from __future__ import annotations

import unicodedata


def clean(words: str, length: int) -> str | None:
    """Return text fit to store and show, or None: anybody may send anything."""
    # Line breaks are welcome; other control characters and halves of surrogate pairs are not.
    kept = (char for char in words if char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"})
    text = "".join(kept).strip()
    return text if 0 < len(text) <= length else None
