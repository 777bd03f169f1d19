"""Credentials that a browser sends by itself, whatever page connects: cookies."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from django_bolt.exceptions import HTTPException

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["require_trusted_origin"]

logger = logging.getLogger("django_bolt.handshake")


def require_trusted_origin(websocket: WebSocket, what: str) -> None:
    """Check that the page that connects may use the cookies of this site.

    Args:
        websocket: The connection.
        what: What the cookie is, for the log.

    Raises:
        HTTPException: 403: the page is of an origin that ``BOLT["ALLOWED_ORIGINS"]`` lets in by ``"*"`` or
            ``"null"`` alone, which any page on the web can be.
    """
    if websocket.is_trusted_origin:
        return
    logger.warning(
        "Connection %s: origin %r may not use the %s cookie: list it in CSRF_TRUSTED_ORIGINS or in "
        "BOLT['ALLOWED_ORIGINS'], where '*' and 'null' do not count for cookies",
        websocket.id,
        websocket.headers.get("origin"),
        what,
    )
    raise HTTPException(HTTPStatus.FORBIDDEN, "Cookies are not accepted from pages of this origin.")
