"""Guards that ask who the client is, and what its credentials say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_bolt.auth.calls import never_blocks
from django_bolt.auth.guards import BaseGuard

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["AllowAny", "IsAuthenticated", "Requires"]


class AllowAny(BaseGuard):
    """Let everybody through: for an endpoint that does without the guards of the settings."""

    @never_blocks
    def has_permission(self, websocket: WebSocket) -> bool:
        """Return True."""
        return True


class IsAuthenticated(BaseGuard):
    """Let through the clients that an authentication of the endpoint knows."""

    detail = "Authentication required."
    needs_identity = True

    @never_blocks
    def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether an authentication has named the user."""
        return websocket.context.get("user_id") is not None


class Requires(BaseGuard):
    """Let through the clients whose credentials make a claim: ``Requires("role", "editor", "admin")``.

    A claim that is a list must contain one of the values, any other must be one of them. Types count: ``1`` is
    neither ``"1"`` nor ``True``.

    Args:
        claim: Name of the claim.
        values: Values of which one must be claimed.

    Raises:
        TypeError: The name is no text, or there is no value.
    """

    needs_identity = True

    def __init__(self, claim: str, *values: Any) -> None:
        name: Any = claim
        if not isinstance(name, str) or not values:
            raise TypeError('Requires takes the name of a claim and its value: Requires("role", "editor")')
        self.claim = claim
        self.values = values

    @never_blocks
    def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether the claim has one of the values."""
        claimed = websocket.context.get("claims", {}).get(self.claim)
        found = claimed if isinstance(claimed, list | tuple | set | frozenset) else (claimed,)
        return any(_is_same(value, entry) for value in self.values for entry in found)

    def __repr__(self) -> str:
        return f"Requires({', '.join(map(repr, (self.claim, *self.values)))})"


def _is_same(wanted: Any, claimed: Any) -> bool:
    return isinstance(wanted, bool) == isinstance(claimed, bool) and bool(wanted == claimed)
