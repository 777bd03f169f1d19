"""Who is at the other end of a connection: the part of `WebSocket` that authentication fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django_bolt.auth.identity import Identity
from django_bolt.auth.users import anonymous_user
from django_bolt.endpoints.connection import Connection
from django_bolt.endpoints.renewal import renew
from django_bolt.endpoints.slots import cached, fill

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

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

    async def reauthenticate(self, token: Any) -> None:
        """Stay connected by a new token, which the client has sent before the old one expires.

        The authentication that let the client in verifies it, and the guards of the endpoint are asked again. Then
        ``websocket.context`` has the new claims, and the connection lasts until the new token expires.

        Cancelling it leaves everything as it was.

        Args:
            token: The token, of whatever type the client has sent.

        Raises:
            AuthenticationFailed: The token is not valid, is another user's, or does not satisfy a guard. The old
                token goes on to count. Unhandled, it closes the connection with 4401.
            HTTPException: 503: the keys to verify it with cannot be had.
            WrongState: No authentication knows the client.
            NotImplementedError: The one that does verifies no tokens.
            WebSocketDisconnect: The connection has ended meanwhile.
        """
        await renew(cast("WebSocket", self), token)

    def identify(self, identity: Identity, claims: dict[str, Any]) -> None:
        """Note who the client is; called by authentication."""
        fill(self, "_identity", identity)
        self.context.update(
            user_id=identity.user_id,
            claims=claims,
            permissions=identity.permissions,
            backend=identity.authentication.name,
        )
