"""What of a user decides whether its connections may stay, in a form that can be kept and sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from django.utils.crypto import salted_hmac

__all__ = ["RIGHTS", "UserState"]

RIGHTS = ("is_staff", "is_superuser")


class UserState(msgspec.Struct, frozen=True):
    """What a user was when it was loaded or saved; None is not known.

    Attributes:
        password: Something that changes with the password, and from which it cannot be found.
        is_active: Whether it may log in.
        is_staff: Whether it is of the staff.
        is_superuser: Whether it has every permission.
    """

    password: str | None = None
    is_active: bool | None = None
    is_staff: bool | None = None
    is_superuser: bool | None = None

    @classmethod
    def of(cls, user: Any, saved_fields: Collection[str] | None = None) -> UserState:
        """Return the state of a user.

        Args:
            user: The user.
            saved_fields: Fields that were saved; what depends on others is not known. None: all.
        """
        unknown = user.get_deferred_fields()
        if saved_fields is not None:
            unknown |= {field.name for field in user._meta.concrete_fields} - set(saved_fields)
        flags = {
            name: None if name in unknown else bool(getattr(user, name, name == "is_active"))
            for name in ("is_active", *RIGHTS)
        }
        return cls(None if "password" in unknown else _fingerprint(user), **flags)

    def changed(self, other: UserState) -> set[str]:
        """Return the names of what is known here and there, and differs."""
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in self.__struct_fields__)
        return {name for name, here, there in pairs if None not in (here, there) and here != there}


def _fingerprint(user: Any) -> str | None:
    if not hasattr(user, "get_session_auth_hash"):
        return None
    hashed = salted_hmac("django_bolt.auth.password", user.get_session_auth_hash(), algorithm="sha256")
    return hashed.hexdigest()[:32]
