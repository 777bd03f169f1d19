"""Users and sessions for tests of authentication."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client

from django_bolt.auth import AuthResult, BaseAuthentication
from django_bolt.auth.identity import Identity
from tests.memory_connection import MemoryConnection


class Somebody(BaseAuthentication):
    """Knows everybody."""


def make_user(name: str = "ann", **fields: Any) -> User:
    """Make a user; its password is its name."""
    return User.objects.create_user(name, password=name, **fields)


def grant(user: User, *names: str) -> None:
    """Give a user permissions of the app ``auth``, by codenames."""
    user.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth", codename__in=names))


def log_in(user: User) -> Client:
    """Return a client of the site in which the user is logged in."""
    client = Client()
    client.force_login(user)
    return client


def session_key(client: Client) -> str:
    """Return the value of a client's session cookie."""
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def with_cookie(value: str, **headers: str) -> MemoryConnection:
    """Return an opening handshake with a session cookie."""
    fields = [("cookie", f"{settings.SESSION_COOKIE_NAME}={value}"), *headers.items()]
    return MemoryConnection("/ws", fields)


def known(result: AuthResult | None = None, **fields: Any) -> MemoryConnection:
    """Return a connection whose client an authentication knows; without arguments an anonymous one."""
    websocket = MemoryConnection()
    if fields:
        result = AuthResult(**fields)
    if result is not None:
        websocket.identify(Identity(Somebody(), result), dict(result.claims))
    return websocket


amake_user: Any = sync_to_async(make_user)
agrant: Any = sync_to_async(grant)
alog_in: Any = sync_to_async(log_in)
