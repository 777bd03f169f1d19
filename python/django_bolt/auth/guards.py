"""What a guard is: it lets an authenticated, or an anonymous, client through to an endpoint or not."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["AllowAny", "BaseGuard", "IsAuthenticated"]


class BaseGuard:
    """Base class of guards.

    Attributes:
        detail: Text for the client that is refused.
        needs_identity: Whether an anonymous client should be asked to authenticate (HTTP 401) where the
            endpoint has an authentication, instead of being refused (HTTP 403).
    """

    detail: ClassVar[str] = "Permission denied."
    needs_identity: ClassVar[bool] = False

    def has_permission(self, websocket: WebSocket) -> bool | Awaitable[bool]:
        """Return whether the client may use the endpoint; ``async def`` where it waits for something.

        A plain ``def`` runs on the event loop and must not block.

        Args:
            websocket: The connection, not yet accepted; its `context` holds what authentication found.
        """
        raise NotImplementedError(f"{type(self).__name__} must define has_permission()")


class AllowAny(BaseGuard):
    """Let everybody through: for an endpoint that does without the guards of the settings."""

    def has_permission(self, websocket: WebSocket) -> bool:
        """Return True."""
        return True


class IsAuthenticated(BaseGuard):
    """Let through the clients that an authentication of the endpoint knows."""

    detail = "Authentication required."
    needs_identity = True

    def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether an authentication has named the user."""
        return websocket.context.get("user_id") is not None
