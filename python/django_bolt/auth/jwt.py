"""Authentication by JSON Web Token (RFC 7519), by way of PyJWT."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import jwt

from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.calls import never_blocks
from django_bolt.auth.jwks import RemoteKeys
from django_bolt.auth.jwt_keys import FixedKey, check_algorithms, is_symmetric
from django_bolt.auth.jwt_places import TokenPlaces
from django_bolt.auth.users import find_user, has_users
from django_bolt.threads import run_in_thread

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["JWTAuthentication"]

logger = logging.getLogger("django_bolt.auth")

MAX_TOKEN_SIZE = 16_384
"""Characters of the longest token that is looked at; one in an opening handshake is limited by its head already."""

_INVALID = "The token is not valid."
_EXPIRED = "The token has expired."
_LATEST = 2.0**53


class JWTAuthentication(BaseAuthentication):
    """Authenticate by a signed token.

    A browser cannot set header fields on a WebSocket. So the token may stand in ``Authorization: Bearer <jwt>``,
    in a subprotocol ``bearer.<jwt>``, in the query as ``?token=<jwt>``, or in a cookie if one is named; the first
    of them counts. Expiry (``exp``) and start (``nbf``) are checked where the token has them; `require` makes them
    a duty. At its expiry the connection is closed, unless `WebSocket.reauthenticate` brings a new token in time.

    Args:
        key: Key to verify with: one shared with the signer, or its public key in PEM; by default Django's
            ``SECRET_KEY``, read at each use.
        jwks_url: Instead of `key`: where the signer offers its public keys.
        algorithms: Algorithms to accept, by default HS256, with `jwks_url` RS256. They are never taken from the
            token.
        header: Header field with the token; None to read none.
        subprotocol: Whether to read it from the offered subprotocols.
        query_parameter: Query parameter with the token; None to read none.
        cookie: Cookie with the token; None to read none. It is accepted from the pages only from which
            `SessionAuthentication` accepts its own.
        audience: Who the token must be meant for (``aud``).
        issuer: Who the token must come from (``iss``).
        leeway: Seconds that clocks may differ by.
        user_id_claim: Claim that names the user; where the token lacks it, ``sub`` is taken.
        permissions_claim: Claim with the permissions that the token grants: a list, or text with spaces between, as
            ``scope`` is. None: permissions are asked of Django.
        require: Claims that a token must have, such as ``["exp"]``.
        check_user: Whether to load the user when it connects, and refuse one that does not exist or is deactivated.

    Raises:
        ValueError: An algorithm is unknown, ``none``, or does not fit the key; the leeway is not a time.
        TypeError: `algorithms` or `require` is one string, `audience` or `issuer` names nobody, the key is neither
            text nor bytes, or given beside `jwks_url`.
        ImproperlyConfigured: An algorithm needs the package cryptography: install ``django_bolt[jwt]``.
    """

    www_authenticate: ClassVar[str] = "Bearer"
    expiry_reason: ClassVar[str] = "token expired"

    def __init__(  # noqa: PLR0913 - every option of a token, each by its name
        self,
        key: str | bytes | None = None,
        *,
        jwks_url: str | None = None,
        algorithms: Sequence[str] | None = None,
        header: str | None = "Authorization",
        subprotocol: bool = True,
        query_parameter: str | None = "token",
        cookie: str | None = None,
        audience: str | Sequence[str] | None = None,
        issuer: str | Sequence[str] | None = None,
        leeway: float | timedelta = 0,
        user_id_claim: str = "user_id",
        permissions_claim: str | None = None,
        require: Sequence[str] = (),
        check_user: bool = False,
    ) -> None:
        default = ["RS256"] if jwks_url else ["HS256"]
        self._algorithms = check_algorithms(default if algorithms is None else algorithms)
        self._keys = _make_keys(key, jwks_url, self._algorithms)
        self._places = TokenPlaces(header, subprotocol, query_parameter, cookie)
        self._audience = _check_names("audience", audience)
        self._issuer = _check_names("issuer", issuer)
        self._leeway = _as_seconds(leeway)
        self._user_id_claim = user_id_claim
        self._permissions_claim = permissions_claim
        self._check_user = check_user
        # Whether `sub` is usable is decided by `_user_id`: PyJWT would refuse a token whose `sub` is a
        # number, as primary keys of Django users are.
        self._options: Any = {"require": _check_claims(require), "verify_sub": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(algorithms={list(self._algorithms)!r})"

    @never_blocks
    def authenticate(self, websocket: WebSocket) -> AuthResult | Awaitable[AuthResult] | None:
        """Verify the token of the opening handshake.

        Returns:
            The user and the claims; None if there is no token.

        Raises:
            AuthenticationFailed: The token is malformed, expired, wrongly signed or names no user.
            HTTPException: 403: the token is in a cookie, and the page of an origin that is not trusted; 503: the
                keys at `jwks_url` cannot be had.
        """
        token = self._places.find(websocket)
        return None if token is None else self._verify(token)

    async def reauthenticate(self, websocket: WebSocket, token: Any) -> AuthResult:
        """Verify a token that a connected client sent; otherwise as `authenticate`."""
        result = self._verify(token)
        return result if isinstance(result, AuthResult) else await result

    def find_problems(self) -> Iterable[str]:
        """Name the app that is missing."""
        if self._check_user and not has_users():
            yield f"{self.name}(check_user=True) needs 'django.contrib.auth' in INSTALLED_APPS"

    def _verify(self, token: Any) -> AuthResult | Awaitable[AuthResult]:
        if not isinstance(token, str) or len(token) > MAX_TOKEN_SIZE:
            raise AuthenticationFailed(_INVALID)
        if isinstance(self._keys, FixedKey) and not self._check_user:
            return self._read(self._decode(token, self._keys.get(), self._algorithms))
        return self._verify_later(token)

    async def _verify_later(self, token: str) -> AuthResult:
        if isinstance(self._keys, FixedKey):
            claims = self._decode(token, self._keys.get(), self._algorithms)
        else:
            claims = await self._decode_remotely(token, self._keys)
        result = self._read(claims)
        return await run_in_thread(_with_user, result) if self._check_user else result

    async def _decode_remotely(self, token: str, keys: RemoteKeys) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise AuthenticationFailed(_INVALID) from None
        # Whatever names no algorithm of ours is not worth a fetch.
        if header.get("alg") not in self._algorithms:
            raise AuthenticationFailed(_INVALID)
        key, algorithm = await keys.find(header.get("kid"))
        if algorithm not in (None, header["alg"]):
            raise AuthenticationFailed(_INVALID)
        return self._decode(token, key, [header["alg"]])

    def _decode(self, token: str, key: Any, algorithms: Sequence[str]) -> dict[str, Any]:
        # Neither the token nor PyJWT's words leave this method: "from None" keeps them out of tracebacks.
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options=self._options,
            )
        except jwt.ExpiredSignatureError:
            raise AuthenticationFailed(_EXPIRED) from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # The client is not told; its developer looks for an audience that is another, say.
            logger.debug("A token is not valid: %s", type(error).__name__)
            raise AuthenticationFailed(_INVALID) from None

    def _read(self, claims: dict[str, Any]) -> AuthResult:
        expires_at = _expiry(claims.get("exp"), self._leeway)
        return AuthResult(self._user_id(claims), claims, self._permissions(claims), expires_at)

    def _user_id(self, claims: dict[str, Any]) -> str | int:
        user_id = claims.get(self._user_id_claim, claims.get("sub"))
        if isinstance(user_id, str | int) and not isinstance(user_id, bool) and user_id != "":
            return user_id
        raise AuthenticationFailed("The token names no user.")

    def _permissions(self, claims: dict[str, Any]) -> frozenset[str] | None:
        if self._permissions_claim is None:
            return None
        granted = claims.get(self._permissions_claim)
        entries = granted.split() if isinstance(granted, str) else granted
        return frozenset(
            entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, str)
        )


def _make_keys(
    key: str | bytes | None, jwks_url: str | None, algorithms: Sequence[str]
) -> FixedKey | RemoteKeys:
    if jwks_url is None:
        return FixedKey(key, algorithms)
    if key is not None:
        raise TypeError("JWTAuthentication takes key or jwks_url, not both")
    if is_symmetric(algorithms[0]):
        raise ValueError(f"{algorithms[0]} cannot be verified with public keys, which jwks_url offers")
    return RemoteKeys(jwks_url)


def _check_names(option: str, given: Any) -> Any:
    """Check what would otherwise refuse every token, and tell nobody why."""
    names = given if isinstance(given, list | tuple | set | frozenset) else [given]
    if given is not None and not (names and all(isinstance(name, str) and name for name in names)):
        raise TypeError(f"{option} must be a name or a list of names, not {given!r}")
    return given


def _check_claims(names: Any) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"require must be a list of claims, such as [{names!r}]")
    return list(names)


def _as_seconds(leeway: float | timedelta) -> float:
    seconds: Any = leeway.total_seconds() if isinstance(leeway, timedelta) else leeway
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"leeway must be a number of seconds of at least 0, not {leeway!r}")
    return float(seconds)


def _expiry(claimed: Any, leeway: float) -> float | None:
    """Return when a token expires; one whose expiry is no number (RFC 7519 section 2) is not valid."""
    if claimed is None:
        return None
    if isinstance(claimed, bool) or not isinstance(claimed, int | float) or math.isnan(min(claimed, _LATEST)):
        raise AuthenticationFailed(_INVALID)
    return float(min(claimed, _LATEST)) + leeway


def _with_user(result: AuthResult) -> AuthResult:
    user = find_user(result.user_id)
    if user is None:
        raise AuthenticationFailed("The token's user does not exist or is not active.")
    return replace(result, user=user)
