"""How many connections each client address or user has."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Hashable
from typing import Any

__all__ = ["Tally", "client_network"]

IPV6_PREFIX = 64
"""Bits that are the same in all addresses of one IPv6 client, who may choose the others."""


class Tally:
    """Counts connections by key, each from its start to the end of its task."""

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()

    def is_full(self, key: Hashable, limit: int | None) -> bool:
        """Return whether a key has as many connections as it may; None is no limit."""
        return limit is not None and self._counts[key] >= limit

    def count(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        """Count a connection of a key until its task ends."""
        self._counts[key] += 1
        task.add_done_callback(lambda _: self._release(key))

    def _release(self, key: Hashable) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


def client_network(address: str) -> str:
    """Return what the connections of one client have in common.

    That is an IPv4 address, also where it is written as an IPv6 one (RFC 4291 section 2.5.5.2), but the /64 network of
    an IPv6 address: the least that a client is given (RFC 6177), who could take another address for each connection.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
