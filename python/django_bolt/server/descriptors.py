"""How many descriptors a process may open.

Every connection takes one, over TLS three. Where they run out, nothing can be opened any more, no database and no
template either: a few clients that say nothing would hurt those who are being served.
"""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["make_room"]

SPARE = 256
"""Descriptors for all that is no connection."""

KINDS = 3
"""MAX_CONNECTIONS holds for WebSockets, for pages, and for what has sent no request yet, each for itself."""

FALLBACK = 10_240
"""What macOS allows where it says that there is no limit."""


def make_room(max_connections: int, each: int) -> str | None:
    """Raise the limit of this process, and of those that it starts, as far as connections need it and may have it.

    Args:
        max_connections: The setting.
        each: Descriptors that a connection takes.

    Returns:
        A warning where not even the WebSockets have room; None where they have.
    """
    limit = _raise_limit(SPARE + KINDS * each * max_connections)
    least = SPARE + each * max_connections
    if limit >= least:
        return None
    return (
        f"The process may open {limit} descriptors, but {max_connections} connections (MAX_CONNECTIONS) need {least}. "
        "Raise the limit (LimitNOFILE of systemd, ulimit -n), or lower MAX_CONNECTIONS."
    )


def _raise_limit(wanted: int) -> int:
    """Return how many descriptors the process may open now: as many as wanted, more, or all that it can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return max(soft, wanted)
    attainable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    for limit in (attainable, min(attainable, FALLBACK)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
            return max(soft, limit)
    return soft
