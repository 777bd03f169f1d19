"""What the peers without authentication of their own do with a token: PyJWT, as their documentations show."""

from __future__ import annotations

import jwt

SECRET = "only-for-benchmarks-on-the-loopback-interface"


def user_of(authorization: str | None) -> int | None:
    """Return the user that ``Authorization: Bearer <jwt>`` names, or None."""
    if authorization is None:
        return None
    try:
        return int(jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])["user_id"])
    except (jwt.InvalidTokenError, KeyError, ValueError):
        return None
