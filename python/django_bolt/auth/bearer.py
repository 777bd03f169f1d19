"""Tokens among the subprotocols that a client offers.

A page cannot set header fields on a WebSocket, but it can offer subprotocols::

    new WebSocket(url, ["bolt", "bearer.<token>"])

The entry with the token is a credential and no subprotocol: it is never accepted, and `WebSocket.subprotocols`
leaves it out. But a browser wants one of those that it offered accepted. So there is ``bolt``, for an application
that has no subprotocol of its own: it is accepted by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["FALLBACK", "find_fallback", "find_token", "is_token_entry", "split_offer"]

FALLBACK = "bolt"
"""The subprotocol of an application that has none."""
_PREFIX = "bearer."


def split_offer(value: str) -> list[str]:
    """Return the entries of a ``Sec-WebSocket-Protocol`` field, those with tokens too."""
    return [name for entry in value.split(",") if (name := entry.strip())]


def is_token_entry(entry: str) -> bool:
    """Return whether an entry is a token and no subprotocol."""
    return entry[: len(_PREFIX)].lower() == _PREFIX


def find_token(offered: Iterable[str]) -> str | None:
    """Return the first token among the entries."""
    return next((entry[len(_PREFIX) :] for entry in offered if is_token_entry(entry)), None)


def find_fallback(offered: list[str]) -> str | None:
    """Return what is accepted for a client that offers a token, where the handler names nothing."""
    return FALLBACK if FALLBACK in offered and any(map(is_token_entry, offered)) else None
