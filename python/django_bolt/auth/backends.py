"""What an authentication is: it looks at an opening handshake and says who the client is."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from django_bolt.exceptions import AuthenticationFailed

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["AuthResult", "AuthenticationFailed", "BaseAuthentication"]


@dataclass(frozen=True, slots=True)
class AuthResult:
    """Who the client is. Nothing of it may contain the credentials themselves.

    Attributes:
        user_id: Primary key of the user, as itself or as text; or any other name of your own for the client.
        claims: What else the credentials say.
        permissions: Names of the permissions that the credentials grant; None: those that Django's
            authentication backends grant the user.
        expires_at: Unix time at which the connection is closed unless it was renewed; None: never.
        session: What `SessionAuthentication` knows a session by.
        user: The user, where it was loaded already.
    """

    user_id: Any
    claims: Mapping[str, Any] = field(default_factory=dict)
    permissions: Collection[str] | None = None
    expires_at: float | None = None
    session: str | None = field(default=None, repr=False)
    user: Any = field(default=None, repr=False, compare=False)


class BaseAuthentication:
    """Base class of authentications.

    Attributes:
        www_authenticate: Challenge for the ``WWW-Authenticate`` field of a 401 (RFC 9110 section 11.6.1). Those that
            share it take credentials of one kind: what one finds wrong, the next may find right.
        expiry_reason: Close reason when what it found has expired.
    """

    www_authenticate: ClassVar[str] = "Bearer"
    expiry_reason: ClassVar[str] = "credentials expired"

    @property
    def name(self) -> str:
        """What ``websocket.context["backend"]`` says when this authentication accepted the client."""
        return type(self).__name__

    def authenticate(self, websocket: WebSocket) -> AuthResult | Awaitable[AuthResult | None] | None:
        """Look for credentials in the opening handshake.

        An ``async def`` runs on the event loop, a plain ``def`` in a thread, where it may use the ORM;
        `never_blocks` marks one that needs no thread.

        Args:
            websocket: The connection, not yet accepted.

        Returns:
            Who the client is; None if it brought no credentials of this kind, so that the next one is tried.

        Raises:
            AuthenticationFailed: It brought credentials and they are wrong; answered with HTTP 401.
        """
        raise NotImplementedError(f"{type(self).__name__} must define authenticate()")

    async def renew(self, websocket: WebSocket) -> AuthResult | None:
        """Look again, because what `authenticate` returned has expired.

        Returns:
            Who the client is, with a later `expires_at`, if it may stay; None closes the connection.
        """
        return None

    async def reauthenticate(self, websocket: WebSocket, token: Any) -> AuthResult:
        """Verify the credentials that a connected client sent to stay connected.

        Raises:
            AuthenticationFailed: They are wrong.
            NotImplementedError: This authentication knows no such credentials.
        """
        raise NotImplementedError(f"{self.name} does not define reauthenticate(): it verifies no tokens")

    def find_problems(self) -> Iterable[str]:
        """Say what the project lacks for this authentication; asked by ``manage.py check``."""
        return ()
