"""The identity of this process among those that exchange publications."""

from __future__ import annotations

import os
import secrets

__all__ = ["process_id"]


class _Identity:
    value = secrets.token_hex(8)


def process_id() -> str:
    """Return the random name of this process: 16 hexadecimal digits, other ones after a fork."""
    return _Identity.value


def _renew() -> None:
    _Identity.value = secrets.token_hex(8)


os.register_at_fork(after_in_child=_renew)
