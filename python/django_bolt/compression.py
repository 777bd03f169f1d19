"""Wishes for permessage-deflate (RFC 7692), as the settings and endpoints give them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Compression", "make_compression"]

WANTED = "True, False, or a dict of options"
"""What a value must be, in words."""

_RANGES = {
    "server_max_window_bits": (8, 15),
    "client_max_window_bits": (8, 15),
    "level": (1, 9),
    "memory_level": (1, 9),
    "min_size": (0, 2**30),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What an endpoint wishes of permessage-deflate.

    By default neither side keeps a context between messages, so that a connection holds no memory for it.

    Attributes:
        server_no_context_takeover: Whether the server forgets its context after each message. False compresses
            better, for a compressor of about 380 KB for each connection that was sent a compressed message (137 KB
            at the least window and memory level).
        client_no_context_takeover: Whether the client is told to forget its. False costs about 48 KB for each
            connection that received a compressed message.
        server_max_window_bits: Base-2 logarithm of the server's window, 8 to 15.
        client_max_window_bits: Base-2 logarithm of the client's window, 8 to 15, for clients that let it be set.
        level: 1 (fastest) to 9 (smallest).
        memory_level: Memory of the compressor, 1 to 9.
        min_size: Bytes of payload below which a message is sent plain.
    """

    server_no_context_takeover: bool = True
    client_no_context_takeover: bool = True
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    level: int = 1
    memory_level: int = 8
    min_size: int = 1024


def make_compression(value: Any) -> Compression | None:
    """Return the wishes that a value stands for: True those by default, False none, a mapping its own.

    Raises:
        ValueError: The value is something else, or an option is unknown or out of its range.
    """
    if isinstance(value, Compression):
        return value
    if isinstance(value, bool):
        return Compression() if value else None
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not {WANTED}")
    for name, option in value.items():
        _check(name, option)
    return Compression(**value)


def _check(name: Any, value: Any) -> None:
    names = [field.name for field in fields(Compression)]
    if name not in names:
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the options are: {', '.join(names)}"
        raise ValueError(f"unknown option {name!r}; {hint}")
    if name not in _RANGES:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, not {value!r}")
        return
    least, most = _RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
