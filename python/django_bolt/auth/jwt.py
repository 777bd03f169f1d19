"""Authentication by JSON Web Token (RFC 7519), by way of PyJWT."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import jwt
from django.conf import settings

from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.calls import never_blocks

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["JWTAuthentication"]

_INVALID = "The token is not valid."
_EXPIRED = "The token has expired."


class JWTAuthentication(BaseAuthentication):
    """Authenticate by a signed token, from ``Authorization: Bearer <jwt>`` or from ``?token=<jwt>``.

    A browser cannot set header fields on a WebSocket, hence the query parameter; where both are given, the
    header field counts. Expiry (``exp``) and start (``nbf``) are checked where the token has them; `require`
    makes them a duty.

    Args:
        key: Key to verify with; by default Django's ``SECRET_KEY``, read at each use.
        algorithms: Algorithms to accept. They are never taken from the token.
        header: Header field with the token; None to read none.
        query_parameter: Query parameter with the token; None to read none.
        audience: Who the token must be meant for (``aud``).
        issuer: Who the token must come from (``iss``).
        leeway: Seconds that clocks may differ by.
        user_id_claim: Claim that names the user; where the token lacks it, ``sub`` is taken.
        require: Claims that a token must have, such as ``["exp"]``.

    Raises:
        ValueError: No algorithm is given, or ``none`` is one of them.
        TypeError: `algorithms` is one string, or the key is neither text nor bytes.
    """

    www_authenticate: ClassVar[str] = "Bearer"

    def __init__(  # noqa: PLR0913 - every option of a token, each by its name
        self,
        key: str | bytes | None = None,
        *,
        algorithms: Sequence[str] = ("HS256",),
        header: str | None = "Authorization",
        query_parameter: str | None = "token",
        audience: str | Sequence[str] | None = None,
        issuer: str | Sequence[str] | None = None,
        leeway: float | timedelta = 0,
        user_id_claim: str = "user_id",
        require: Sequence[str] = (),
    ) -> None:
        self._key = _checked_key(key)
        self._algorithms = _checked_algorithms(algorithms)
        self._header = header
        self._query_parameter = query_parameter
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway
        self._user_id_claim = user_id_claim
        # Whether `sub` is usable is decided by `_user_id`: PyJWT would refuse a token whose `sub` is a
        # number, as primary keys of Django users are.
        self._options: Any = {"require": list(require), "verify_sub": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(algorithms={self._algorithms!r})"

    @never_blocks
    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        """Verify the token of the opening handshake.

        Returns:
            The user and the claims; None if there is no token.

        Raises:
            AuthenticationFailed: The token is malformed, expired, wrongly signed or names no user.
        """
        token = self._find_token(websocket)
        if token is None:
            return None
        claims = self._verify(token)
        return AuthResult(self._user_id(claims), claims)

    def _find_token(self, websocket: WebSocket) -> str | None:
        if self._header:
            scheme, _, token = websocket.headers.get(self._header, "").strip().partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
        if self._query_parameter:
            return websocket.query_params.get(self._query_parameter) or None
        return None

    def _verify(self, token: str) -> dict[str, Any]:
        # Neither the token nor PyJWT's words leave this method: "from None" keeps them out of tracebacks.
        try:
            return jwt.decode(
                token,
                settings.SECRET_KEY if self._key is None else self._key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options=self._options,
            )
        except jwt.ExpiredSignatureError:
            raise AuthenticationFailed(_EXPIRED) from None
        except (jwt.InvalidTokenError, UnicodeError, RecursionError):
            raise AuthenticationFailed(_INVALID) from None

    def _user_id(self, claims: dict[str, Any]) -> str | int:
        user_id = claims.get(self._user_id_claim, claims.get("sub"))
        if isinstance(user_id, str | int) and not isinstance(user_id, bool) and user_id != "":
            return user_id
        raise AuthenticationFailed("The token names no user.")


def _checked_key(key: str | bytes | None) -> str | bytes | None:
    if key is not None and not isinstance(key, str | bytes):
        raise TypeError(f"key must be text or bytes, not {type(key).__name__}")
    return key


def _checked_algorithms(algorithms: Sequence[str]) -> list[str]:
    if isinstance(algorithms, str):
        raise TypeError(f"algorithms must be a list of names, such as [{algorithms!r}]")
    if not algorithms or any(name.lower() == "none" for name in algorithms):
        raise ValueError(f"algorithms must name signing algorithms and not 'none': {list(algorithms)!r}")
    return list(algorithms)
