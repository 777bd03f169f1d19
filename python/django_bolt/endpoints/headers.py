"""Header fields of an opening handshake and of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Headers", "check_headers", "join_headers", "join_values"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_UNCLEAN = re.compile(r"[\r\n\0]")  # Would end the field: RFC 9110 section 5.5
_RESERVED = frozenset({"connection", "upgrade", "content-length", "transfer-encoding"})


def join_headers(raw_headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by name, repeated ones as one value (RFC 9110 section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in raw_headers:
        if name in joined:
            # Cookie is the one field of a request that is joined by semicolons (RFC 9113 section 8.2.3).
            joined[name] += ("; " if name == "cookie" else ", ") + value
        else:
            joined[name] = value
    return joined


def join_values(values: list[str]) -> str | None:
    """Return the values of a repeated header field as one (RFC 9110 section 5.3); None if there is none."""
    return ", ".join(values) if values else None


def check_headers(headers: Headers | None) -> list[tuple[str, str]]:
    """Return header fields as pairs.

    Raises:
        ValueError: A name is no token, or belongs to the handshake itself; a value is not clean Latin-1.
        TypeError: A name or a value is not text.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return [_check(name, value) for name, value in pairs]


def _check(name: Any, value: Any) -> tuple[str, str]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"Header field {name!r} must be text, and so must its value")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a header field")
    if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
        raise ValueError(f"Header field {name!r} is set by the handshake itself")
    if _UNCLEAN.search(value):
        raise ValueError(f"Value of header field {name!r} contains CR, LF or NUL")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"Value of header field {name!r} is not Latin-1") from None
    return name, value
