"""Guards that ask what Django knows of the user: its status and its permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from django_bolt.auth.guards import BaseGuard
from django_bolt.auth.users import has_users
from django_bolt.threads import run_in_thread

if TYPE_CHECKING:
    from django_bolt.auth.identity import Identity
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["HasAllPermissions", "HasAnyPermission", "HasPermission", "IsStaff", "IsSuperuser"]


class UserGuard(BaseGuard):
    """Base of the guards that load the user."""

    needs_identity = True
    follows_user = True

    def find_problems(self) -> Iterable[str]:
        """Name the app that is missing."""
        return () if has_users() else (f"{self!r} needs 'django.contrib.auth' in INSTALLED_APPS",)


class IsStaff(UserGuard):
    """Let through the users with ``is_staff``."""

    async def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether the user is of the staff."""
        return await _has_status(websocket, "is_staff")


class IsSuperuser(UserGuard):
    """Let through the users with ``is_superuser``."""

    async def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether the user is a superuser."""
        return await _has_status(websocket, "is_superuser")


class HasAllPermissions(UserGuard):
    """Let through the users that have every one of these permissions, as in ``"chat.add_message"``.

    Where the credentials grant permissions themselves, as a token may, these count; else those of Django's
    authentication backends, which are then in ``websocket.context["permissions"]``.

    Args:
        names: Names of permissions.

    Raises:
        TypeError: There is none, or one is no text.
    """

    def __init__(self, *names: str) -> None:
        given: tuple[Any, ...] = names
        if not given or not all(isinstance(name, str) and name for name in given):
            raise TypeError(f'{type(self).__name__} takes names of permissions, such as "chat.add_message"')
        self.names = names

    async def has_permission(self, websocket: WebSocket) -> bool:
        """Return whether the permissions of the user suffice."""
        identity = websocket.identity
        if identity is None:
            return False
        if identity.permissions is not None:
            return self.suffices(identity.permissions.__contains__)
        return await run_in_thread(self._ask, identity, websocket.context)

    def suffices(self, has: Callable[[str], bool]) -> bool:
        """Return whether it is enough to have the permissions for which `has` says so."""
        return all(map(has, self.names))

    def find_problems(self) -> Iterable[str]:
        """Name what is missing."""
        problems = list(super().find_problems())
        if not problems and not hasattr(get_user_model(), "has_perm"):
            problems.append(f"{self!r} needs a user model with has_perm(), as PermissionsMixin gives it")
        return problems

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.names))})"

    def _ask(self, identity: Identity, context: dict[str, Any]) -> bool:
        user = identity.load_user()
        if identity.granted is None:
            identity.granted = context["permissions"] = frozenset(user.get_all_permissions())
        return self.suffices(user.has_perm)


class HasPermission(HasAllPermissions):
    """Let through the users that have a permission; otherwise as `HasAllPermissions`.

    Args:
        name: Name of the permission.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)


class HasAnyPermission(HasAllPermissions):
    """Let through the users that have at least one of these permissions; otherwise as `HasAllPermissions`."""

    def suffices(self, has: Callable[[str], bool]) -> bool:
        """Return whether it is enough to have the permissions for which `has` says so."""
        return any(map(has, self.names))


async def _has_status(websocket: WebSocket, attribute: str) -> bool:
    if websocket.identity is None:
        return False
    user = await websocket.auser()
    return bool(getattr(user, "is_active", True) and getattr(user, attribute, False))
