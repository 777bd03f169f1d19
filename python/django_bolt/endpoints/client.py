"""Who is at the other end of a connection: the part of `WebSocket` that authentication fills."""

from __future__ import annotations

from typing import Any

from django_bolt.auth.identity import Identity
from django_bolt.auth.users import anonymous_user
from django_bolt.endpoints.connection import Connection
from django_bolt.endpoints.slots import cached, fill

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A connection that knows its client."""

    __slots__ = ()

    @property
    def context(self) -> dict[str, Any]:
        """A dict for the connection's life, to which the handler may add what it likes.

        Authentication fills ``user_id``, ``claims``, ``permissions`` (a frozenset of names; None as long as no
        guard has asked Django for them) and ``backend`` (the name of the authentication's class).
        """
        return cached(self, "_context", dict[str, Any])

    @property
    def identity(self) -> Identity | None:
        """What authentication found out; None if no authentication of the endpoint knows the client."""
        return getattr(self, "_identity", None)

    @property
    def user(self) -> Any:
        """The user, as ``request.user`` of a view: loaded when first looked at, which blocks.

        In an async handler use `auser`, or await it before. ``AnonymousUser`` if authentication named none, or
        if there is no such user, or a deactivated one.

        Raises:
            SynchronousOnlyOperation: When looked at, not loaded yet, on an event loop.
        """
        return anonymous_user() if self.identity is None else self.identity.user

    async def auser(self) -> Any:
        """Return the user, loaded in a thread at the first call; otherwise as `user`.

        Cancelling it leaves the user to be loaded by the next call.
        """
        return anonymous_user() if self.identity is None else await self.identity.aload_user()

    def identify(self, identity: Identity, claims: dict[str, Any]) -> None:
        """Note who the client is; called by authentication."""
        fill(self, "_identity", identity)
        self.context.update(
            user_id=identity.user_id,
            claims=claims,
            permissions=identity.permissions,
            backend=identity.authentication.name,
        )
