"""From the id that credentials name to the user that Django knows."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_backends, get_user_model
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation, ValidationError

__all__ = ["anonymous_user", "check_may_block", "find_user", "has_users", "user_key"]


def has_users() -> bool:
    """Return whether the project has Django's users: ``django.contrib.auth`` is installed."""
    return apps.is_installed("django.contrib.auth")


def user_key(user_id: Any) -> str:
    """Return what a user is known by in this package, whatever type the credentials have its id in.

    A token may say ``"42"`` where the session says ``42``: they are the same user.
    """
    primary_key = _as_primary_key(user_id) if has_users() else None
    return str(user_id if primary_key is None else primary_key)


def find_user(user_id: Any) -> Any:
    """Load a user as Django does for a session, by ``AUTHENTICATION_BACKENDS``. Blocks.

    Returns:
        The user; None if there is none of this id, or a deactivated one that the backends refuse.
    """
    primary_key = _as_primary_key(user_id)
    if primary_key is None:
        return None
    for backend in get_backends():
        user = backend.get_user(primary_key)
        if user is not None:
            return user
    return None


def anonymous_user() -> Any:
    """Return Django's user for a client that nobody knows.

    Raises:
        ImproperlyConfigured: ``django.contrib.auth`` is not installed.
    """
    if not has_users():
        raise ImproperlyConfigured("websocket.user needs 'django.contrib.auth' in INSTALLED_APPS")
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


def check_may_block() -> None:
    """Check that the user may be loaded here, by a query that blocks.

    Raises:
        SynchronousOnlyOperation: An event loop runs in this thread.
    """
    if os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(
        "websocket.user is not loaded yet, and loading it blocks: "
        "in an async handler write `user = await websocket.auser()`."
    )


def _as_primary_key(user_id: Any) -> Any:
    """Convert to the type of the user's primary key; None for what no user can have."""
    if not isinstance(user_id, str | int | UUID) or isinstance(user_id, bool):
        return None
    if isinstance(user_id, str) and "\0" in user_id:
        return None  # A PostgreSQL driver would raise ValueError.
    try:
        return get_user_model()._meta.pk.to_python(user_id)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return None
