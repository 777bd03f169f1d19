"""Refusals of opening handshakes for what their heads say, before anything of the user's runs."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from django_bolt.endpoints.headers import join_values
from django_bolt.endpoints.origin import host_of, is_host_allowed, is_origin_allowed
from django_bolt.endpoints.outcome import log_refusal, refuse
from django_bolt.endpoints.websocket import WebSocket

__all__ = ["RETRY", "answer_refusal", "find_refusal"]

RETRY: Mapping[str, str] = {"Retry-After": "10"}
"""Header fields of a 429."""


def find_refusal(websocket: WebSocket) -> Coroutine[Any, Any, None] | None:
    """Check host and origin; settings that cannot be read are the server's fault and refuse everybody.

    Returns:
        The answer to give, not yet begun; None to go on.
    """
    host, origin = host_of(websocket.header_values), join_values(websocket.header_values("origin"))
    if not is_host_allowed(host):
        return answer_refusal(websocket, HTTPStatus.BAD_REQUEST, f"host {host!r} is not in ALLOWED_HOSTS")
    if not is_origin_allowed(origin, host):
        cause = (
            f"origin {origin!r} is neither {host!r} nor in CSRF_TRUSTED_ORIGINS or BOLT['ALLOWED_ORIGINS']"
        )
        return answer_refusal(websocket, HTTPStatus.FORBIDDEN, cause)
    return None


async def answer_refusal(
    websocket: WebSocket, status: HTTPStatus, cause: str, headers: Mapping[str, str] | None = None
) -> None:
    """Log a refusal with its cause, and answer with the phrase of its status alone."""
    log_refusal(websocket, status, cause)
    try:
        await refuse(websocket, status, status.phrase, dict(headers or {}))
    finally:
        websocket.detach_task()
