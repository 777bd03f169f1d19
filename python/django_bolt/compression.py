"""Wishes for permessage-deflate (RFC 7692), as the settings and endpoints give them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Compression", "make_compression"]

WANTED = "True, False, or a dict of options"
"""What a value must be, in words."""


def _option(description: str, least: int | None = None, most: int | None = None) -> dict[str, Any]:
    """Return the metadata of an option: what it means, and its range unless it is True or False."""
    return {"description": description, "least": least, "most": most}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What an endpoint wishes of permessage-deflate.

    By default neither side keeps a context between messages, so that a connection holds no memory for it. The
    metadata of a field holds ``description``, and ``least`` and ``most`` of a number.
    """

    server_no_context_takeover: bool = field(
        default=True,
        metadata=_option(
            "Whether the server forgets its context after each message. False compresses better, for a compressor of "
            "about 380 KB (137 KB at the least window and memory level) for each connection that was sent a "
            "compressed message."
        ),
    )
    client_no_context_takeover: bool = field(
        default=True,
        metadata=_option(
            "Whether the client is told to forget its context. False costs about 48 KB for each connection that "
            "received a compressed message."
        ),
    )
    server_max_window_bits: int = field(
        default=15, metadata=_option("Base-2 logarithm of the server's window.", 8, 15)
    )
    client_max_window_bits: int = field(
        default=15,
        metadata=_option("Base-2 logarithm of the client's window, for clients that let it be set.", 8, 15),
    )
    level: int = field(default=1, metadata=_option("From 1, the fastest, to 9, the smallest.", 1, 9))
    memory_level: int = field(default=8, metadata=_option("Memory of the compressor.", 1, 9))
    min_size: int = field(
        default=1024,
        metadata=_option("Bytes of payload below which a message is sent plain.", 0, 2**30),
    )


_FIELDS = {entry.name: entry for entry in fields(Compression)}


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
    entry = _FIELDS.get(name)
    if entry is None:
        close = difflib.get_close_matches(str(name), _FIELDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the options are: {', '.join(_FIELDS)}"
        raise ValueError(f"unknown option {name!r}; {hint}")
    least, most = entry.metadata["least"], entry.metadata["most"]
    if least is None:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, not {value!r}")
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
