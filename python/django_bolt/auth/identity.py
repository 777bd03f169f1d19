"""Who the client of a connection is, for as long as the connection lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.utils.functional import SimpleLazyObject

from django_bolt.auth.backends import AuthResult, BaseAuthentication
from django_bolt.auth.user_state import UserState
from django_bolt.auth.users import anonymous_user, check_may_block, find_user, user_key
from django_bolt.threads import run_in_thread

__all__ = ["Identity"]


class Identity:
    """What an authentication found out about a client, without the credentials.

    Args:
        authentication: The one that knows the client.
        result: What it says.

    Attributes:
        authentication: As given.
        user_id: The user's id as the credentials name it.
        key: What the user is known by, see `user_key`; None if the credentials name nobody.
        permissions: Permissions that the credentials grant; None: Django's backends decide.
        granted: What these have granted the user that is loaded; None: not asked yet.
        expires_at: Unix time until which it holds; None: for good.
        session: What the session is known by, if it rests on one.
        state: What the user was when it was loaded; None: not loaded, or there is no such user.
        on_renewal: Called when it was renewed.
    """

    __slots__ = (
        "_user",
        "authentication",
        "expires_at",
        "granted",
        "key",
        "on_renewal",
        "permissions",
        "session",
        "state",
        "user_id",
    )

    def __init__(self, authentication: BaseAuthentication, result: AuthResult) -> None:
        self.authentication = authentication
        self.user_id = result.user_id
        self.key = None if result.user_id is None else user_key(result.user_id)
        self.session = result.session
        self.granted: frozenset[str] | None = None
        self.state: UserState | None = None
        self.on_renewal: Callable[[], None] | None = None
        self._user: Any = None
        self.take(result)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of user {self.key} by {self.authentication.name}>"

    def is_same_user(self, result: AuthResult) -> bool:
        """Return whether other credentials name the same user."""
        return result.user_id is not None and user_key(result.user_id) == self.key

    def take(self, result: AuthResult) -> None:
        """Take over what credentials of the user say."""
        self.permissions = None if result.permissions is None else frozenset(result.permissions)
        self.expires_at = result.expires_at
        if result.user is not None:
            self.take_user(result.user)
        if self.on_renewal is not None:
            self.on_renewal()

    def take_user(self, user: Any) -> None:
        """Take a user that was loaded for the one that is known."""
        self.state = UserState.of(user) if isinstance(user, Model) else None
        self.granted = None
        self._user = user

    @property
    def user(self) -> Any:
        """The user, or an object that loads it when it is first looked at, as ``request.user`` is."""
        return SimpleLazyObject(self._load_lazily) if self._user is None else self._user

    def load_user(self) -> Any:
        """Return the user, loading it if need be; blocks. One that does not exist is an ``AnonymousUser``."""
        if self._user is None:
            self.reload_user()
        return self._user

    def reload_user(self) -> None:
        """Load the user anew; blocks. Until it is there, the one before stays."""
        self.take_user(find_user(self.user_id) or anonymous_user())

    async def aload_user(self) -> Any:
        """Return the user, loading it in a thread if need be; otherwise as `load_user`."""
        return await run_in_thread(self.load_user) if self._user is None else self._user

    def _load_lazily(self) -> Any:
        if self._user is None:
            check_may_block()
        return self.load_user()
