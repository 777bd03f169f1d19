"""What an authentication is: it looks at an opening handshake and says who the client is."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from django_bolt.exceptions import AuthenticationFailed

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["AuthResult", "AuthenticationFailed", "BaseAuthentication"]


@dataclass(frozen=True, slots=True)
class AuthResult:
    """Who the client is.

    Attributes:
        user_id: Key of the user, as the credentials name it.
        claims: What else the credentials say. It must not contain the credentials themselves.
    """

    user_id: Any
    claims: Mapping[str, Any] = field(default_factory=dict)


class BaseAuthentication:
    """Base class of authentications.

    Attributes:
        www_authenticate: Challenge for the ``WWW-Authenticate`` field of a 401 (RFC 9110 section 11.6.1).
    """

    www_authenticate: ClassVar[str] = "Bearer"

    @property
    def name(self) -> str:
        """What ``websocket.context["backend"]`` says when this authentication accepted the client."""
        return type(self).__name__

    def authenticate(self, websocket: WebSocket) -> AuthResult | Awaitable[AuthResult | None] | None:
        """Look for credentials in the opening handshake; ``async def`` where it waits for something.

        A plain ``def`` runs on the event loop and must not block.

        Args:
            websocket: The connection, not yet accepted.

        Returns:
            Who the client is; None if it brought no credentials of this kind, so that the next one is tried.

        Raises:
            AuthenticationFailed: It brought credentials and they are wrong; answered with HTTP 401.
        """
        raise NotImplementedError(f"{type(self).__name__} must define authenticate()")
