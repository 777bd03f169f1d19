"""kosoku, with one mistake of its own mended. Runs in the fuzzer's environment.

The case files are of Python 2's time, where `str` was bytes. kosoku 0.1.0 hands them a message that came without
compression as `str`, also in groups 12 and 13, whose cases hash it; they then end in ERROR with "Strings must be
encoded before hashing". A server may send any message without compression (RFC 7692 section 6), and ours does where
compressing would not make it smaller, so the message is encoded here before the case sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kosoku._cli import main
from kosoku.cases import CASES

_COMPRESSION = ("12.", "13.")


def _with_bytes(on_message: Callable[[Any, Any, bool], None]) -> Callable[[Any, Any, bool], None]:
    def with_bytes(self: Any, message: str | bytes, binary: bool) -> None:
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        on_message(self, message, binary)

    return with_bytes


def mend() -> None:
    """Have the compression cases take plain messages."""
    for case_id, case in CASES.items():
        if case_id.startswith(_COMPRESSION):
            case.onMessage = _with_bytes(case.onMessage)


if __name__ == "__main__":
    mend()
    main()
