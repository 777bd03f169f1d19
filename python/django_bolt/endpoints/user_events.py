"""What can happen to users that decides whether their connections may stay.

An event is plain data: `msgspec` encodes it, and decodes it as `UserEvent`.
"""

from __future__ import annotations

import msgspec

from django_bolt.auth.user_state import UserState

__all__ = ["LoggedOut", "PermissionsChanged", "UserDeleted", "UserEvent", "UserSaved"]


class LoggedOut(msgspec.Struct, frozen=True, tag=True):
    """A user has ended a session.

    Attributes:
        user: What the user is known by.
        session: What the session is known by.
    """

    user: str
    session: str


class UserSaved(msgspec.Struct, frozen=True, tag=True):
    """A user was saved.

    Attributes:
        user: What it is known by.
        state: What of it was saved.
        has_new_password: Whether a password was set, be it the same.
    """

    user: str
    state: UserState
    has_new_password: bool


class UserDeleted(msgspec.Struct, frozen=True, tag=True):
    """A user was deleted; it is the one of this name."""

    user: str


class PermissionsChanged(msgspec.Struct, frozen=True, tag=True):
    """Users, or groups of them, have other permissions now; None: nobody knows whose changed."""

    users: list[str] | None


UserEvent = LoggedOut | UserSaved | UserDeleted | PermissionsChanged
