"""Authentication and guards of WebSocket endpoints."""

from django_bolt.auth.api_key import APIKeyAuthentication
from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.calls import never_blocks
from django_bolt.auth.client_guards import AllowAny, IsAuthenticated, Requires
from django_bolt.auth.guards import BaseGuard
from django_bolt.auth.jwt import JWTAuthentication
from django_bolt.auth.session import SessionAuthentication
from django_bolt.auth.user_guards import (
    HasAllPermissions,
    HasAnyPermission,
    HasPermission,
    IsStaff,
    IsSuperuser,
)

__all__ = [
    "APIKeyAuthentication",
    "AllowAny",
    "AuthResult",
    "AuthenticationFailed",
    "BaseAuthentication",
    "BaseGuard",
    "HasAllPermissions",
    "HasAnyPermission",
    "HasPermission",
    "IsAuthenticated",
    "IsStaff",
    "IsSuperuser",
    "JWTAuthentication",
    "Requires",
    "SessionAuthentication",
    "never_blocks",
]
