"""Authentication and guards of WebSocket endpoints."""

from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.guards import AllowAny, BaseGuard, IsAuthenticated
from django_bolt.auth.jwt import JWTAuthentication

__all__ = [
    "AllowAny",
    "AuthResult",
    "AuthenticationFailed",
    "BaseAuthentication",
    "BaseGuard",
    "IsAuthenticated",
    "JWTAuthentication",
]
