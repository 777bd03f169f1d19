"""Authentication by a key that a program sends."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils.crypto import salted_hmac

from django_bolt.auth.backends import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.auth.calls import call, never_blocks
from django_bolt.conf import BoltSettings, bolt_settings

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["APIKeyAuthentication"]

Keys = Mapping[str, Any] | Iterable[str]
Lookup = Callable[[str], Any]

_OF_LIST = object()
"""The owner of a key that is in a list."""


class APIKeyAuthentication(BaseAuthentication):
    """Authenticate by a key, from the header field ``X-API-Key``.

    Args:
        keys: The keys: a mapping to whom each belongs, or a list; None takes ``BOLT["API_KEYS"]``. Whom: a
            user's id or a name of your own; a mapping of claims, with ``user_id`` in it or not; an `AuthResult`.
            Where nobody is named, ``user_id`` is made from the key, which it does not reveal.
        lookup: Instead of `keys`: called with the key, returns whom it belongs to, as above, or the user itself;
            None if to nobody. An ``async def``, or a plain ``def``, which runs in a thread.
        header: Header field with the key; None to read none.
        query_parameter: Query parameter with the key; None to read none.

    Raises:
        ValueError: A key is empty, or not of visible ASCII characters; or there is no place to read it from.
        TypeError: `keys` is neither, or given beside `lookup`; `lookup` cannot be called.
    """

    www_authenticate: ClassVar[str] = "ApiKey"

    def __init__(
        self,
        keys: Keys | None = None,
        *,
        lookup: Lookup | None = None,
        header: str | None = "X-API-Key",
        query_parameter: str | None = None,
    ) -> None:
        if keys is not None and lookup is not None:
            raise TypeError("APIKeyAuthentication takes keys or lookup, not both")
        if lookup is not None and not callable(lookup):
            raise TypeError(f"lookup must be a function of the key, not {type(lookup).__name__}")
        if not header and not query_parameter:
            raise ValueError("APIKeyAuthentication needs a header field or a query parameter to read")
        self._owners = _digest_keys(keys or ())
        self._reads_settings = keys is None
        self._settings: BoltSettings | None = None
        self._lookup = lookup
        self._header = header
        self._query_parameter = query_parameter

    def __repr__(self) -> str:
        return f"{type(self).__name__}(header={self._header!r}, query_parameter={self._query_parameter!r})"

    @never_blocks
    def authenticate(self, websocket: WebSocket) -> AuthResult | Awaitable[AuthResult] | None:
        """Find out whom the key of the opening handshake belongs to.

        Returns:
            Its owner; None if there is no key.

        Raises:
            AuthenticationFailed: It belongs to nobody.
        """
        key = self._find_key(websocket)
        if key is None:
            return None
        if self._lookup is not None:
            return self._look_up(self._lookup, key)
        return _as_result(_find_owner(self._known_owners(), key), key)

    def _find_key(self, websocket: WebSocket) -> str | None:
        if self._header and (key := websocket.headers.get(self._header, "").strip()):
            return key
        if self._query_parameter:
            return websocket.query_params.get(self._query_parameter) or None
        return None

    def _known_owners(self) -> Mapping[bytes, Any]:
        if self._reads_settings and self._settings is not (current := bolt_settings()):
            self._owners, self._settings = _digest_keys(current.api_keys), current
        return self._owners

    async def _look_up(self, lookup: Lookup, key: str) -> AuthResult:
        return _as_result(await call(lookup, key), key)


def _digest_keys(keys: Keys) -> dict[bytes, Any]:
    """Return owners by digests of keys, so that a comparison tells nothing of a key, not even its length."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise TypeError("keys must be a mapping or a list of keys")
    owners = keys if isinstance(keys, Mapping) else dict.fromkeys(keys, _OF_LIST)
    return {_digest(_checked(key)): owner for key, owner in owners.items()}


def _checked(key: Any) -> str:
    if not isinstance(key, str) or not key or not all("!" <= character <= "~" for character in key):
        raise ValueError("An API key must be text of visible ASCII characters, and not empty")
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _find_owner(owners: Mapping[bytes, Any], key: str) -> Any:
    """Compare with every key, each in constant time: how long it takes does not depend on the key."""
    wanted = _digest(key)
    found = None
    for digest, owner in owners.items():
        if hmac.compare_digest(digest, wanted):
            found = owner
    return found


def _as_result(owner: Any, key: str) -> AuthResult:
    match owner:
        case None:
            raise AuthenticationFailed("The API key is not valid.")
        case AuthResult():
            return owner
        case Mapping():
            return AuthResult(owner.get("user_id", _mark(key)), owner)
        case Model():
            return _result_of_user(owner)
    return AuthResult(_mark(key) if owner is _OF_LIST else owner)


def _result_of_user(user: Model) -> AuthResult:
    if not isinstance(user, get_user_model()):
        # Its primary key would be taken for that of a user.
        raise TypeError(f"The owner of an API key is a {type(user).__name__}; name it by a text of your own")
    if not getattr(user, "is_active", True):
        raise AuthenticationFailed("The API key is not valid.")
    return AuthResult(user.pk, user=user)


def _mark(key: str) -> str:
    """Return a name for the client that has a key; the key cannot be found from it."""
    return f"key:{salted_hmac('django_bolt.auth.api_key', key, algorithm='sha256').hexdigest()[:16]}"
