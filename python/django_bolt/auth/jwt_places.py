"""Where in an opening handshake a token may stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django_bolt.auth.ambient import require_trusted_origin
from django_bolt.auth.bearer import find_token, split_offer

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["TokenPlaces"]


@dataclass(frozen=True, slots=True)
class TokenPlaces:
    """The places to look at, in this order; the first token counts.

    Attributes:
        header: Header field, after ``Bearer``; None: not there.
        subprotocol: Whether the subprotocols are such a place, see `django_bolt.auth.bearer`.
        query_parameter: Query parameter; None: not there.
        cookie: Cookie; None: not there.
    """

    header: str | None
    subprotocol: bool
    query_parameter: str | None
    cookie: str | None

    def __post_init__(self) -> None:
        if not (self.header or self.subprotocol or self.query_parameter or self.cookie):
            raise ValueError("There must be a place to take the token from")

    def find(self, websocket: WebSocket) -> str | None:
        """Return the token; None if there is none.

        Raises:
            HTTPException: 403: it is in a cookie, and the page is of an origin that is not trusted.
        """
        token = self._in_header(websocket) or self._in_subprotocols(websocket) or self._in_query(websocket)
        return self._in_cookies(websocket) if token is None else token

    def _in_header(self, websocket: WebSocket) -> str | None:
        if not self.header:
            return None
        scheme, _, token = websocket.headers.get(self.header, "").strip().partition(" ")
        # One without a token is wrong credentials, and not none.
        return (token.strip() or " ") if scheme.lower() == "bearer" else None

    def _in_subprotocols(self, websocket: WebSocket) -> str | None:
        if not self.subprotocol:
            return None
        return find_token(split_offer(websocket.headers.get("sec-websocket-protocol", "")))

    def _in_query(self, websocket: WebSocket) -> str | None:
        if not self.query_parameter:
            return None
        return websocket.query_params.get(self.query_parameter) or None

    def _in_cookies(self, websocket: WebSocket) -> str | None:
        token = websocket.cookies.get(self.cookie) if self.cookie else None
        if not token:
            return None
        require_trusted_origin(websocket, "token")
        return token
