"""Public keys that an identity provider offers at a URL (RFC 7517)."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt

from django_bolt.auth.backends import AuthenticationFailed
from django_bolt.exceptions import HTTPException

__all__ = ["RemoteKey", "RemoteKeys"]

logger = logging.getLogger("django_bolt.auth")

TIMEOUT = 5.0
"""Seconds in which the provider must answer."""
LIFESPAN = 300.0
"""Seconds after which the keys are fetched again, while the known ones are used."""
INTERVAL = 30.0
"""Seconds from one fetch to the next at the least, however many tokens name keys that are not known."""
RETRY = 5.0
"""The same, after a fetch that failed."""
MAX_AGE = 24 * 3600.0
"""Seconds for which keys are used while no fetch succeeds."""


class RemoteKey(NamedTuple):
    """A public key, and the one algorithm that it is for, if it says so."""

    key: Any
    algorithm: str | None


class RemoteKeys:
    """The keys at a URL, fetched in a thread when first needed, and kept. May be used from several event loops.

    Args:
        url: Where the keys are, over https or http.

    Raises:
        ValueError: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("jwks_url must begin with https:// or http://")
        self.host = parts.hostname
        self._url = url
        self._lock = threading.Lock()
        self._keys: Mapping[str | None, RemoteKey] = {}
        self._fetch: Future[None] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._is_failing = False

    async def find(self, key_id: str | None) -> RemoteKey:
        """Return the key that a token names; where it names none, the only key.

        Cancelling it does not end a fetch that others may wait for.

        Raises:
            AuthenticationFailed: There is no such key.
            HTTPException: 503: the keys cannot be had now.
        """
        found = self._known(key_id)
        if found is None:
            await self._wait_for(self._begin_fetch())
            found = self._known(key_id)
        elif time.monotonic() - self._fetched_at > LIFESPAN:
            self._begin_fetch()
        if found is not None:
            return found
        if self._is_failing or not self._keys:
            headers = {"Retry-After": f"{RETRY:.0f}"}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Tokens cannot be verified now.", headers)
        raise AuthenticationFailed("The token is not valid.")

    def _known(self, key_id: str | None) -> RemoteKey | None:
        if time.monotonic() - self._fetched_at > MAX_AGE:
            return None
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _begin_fetch(self) -> Future[None] | None:
        """Fetch in a thread, unless that is under way or was done a moment ago."""
        with self._lock:
            now = time.monotonic()
            if self._fetch is None and now - self._tried_at >= (RETRY if self._is_failing else INTERVAL):
                self._tried_at = now
                fetch: Future[None] = Future()
                fetch.set_running_or_notify_cancel()  # Nobody who waits can cancel it for others.
                self._fetch = fetch
                try:
                    threading.Thread(target=self._run_fetch, name="django-bolt-jwks", daemon=True).start()
                except RuntimeError:  # No thread can be started; what never began must not be waited for.
                    self._fetch = None
            return self._fetch

    async def _wait_for(self, fetch: Future[None] | None) -> None:
        if fetch is None:
            return
        try:
            # Longer than the fetch may take, unless the answer comes in drops.
            await asyncio.wait_for(asyncio.wrap_future(fetch), 2 * TIMEOUT)
        except TimeoutError:
            return

    def _run_fetch(self) -> None:
        try:
            keys = _download(self._url)
        except Exception as error:
            self._note_failure(error)
        else:
            self._note_success(keys)
        with self._lock:
            fetch, self._fetch = self._fetch, None
        assert fetch is not None
        fetch.set_result(None)

    def _note_success(self, keys: Mapping[str | None, RemoteKey]) -> None:
        if self._is_failing:
            logger.info("The keys of tokens can be fetched from %s again", self.host)
        self._keys = keys
        self._fetched_at = time.monotonic()
        self._is_failing = False

    def _note_failure(self, error: Exception) -> None:
        # Once, and not for each token that comes meanwhile. Its URL may hold a password, its host does not.
        if not self._is_failing:
            logger.error("The keys of tokens cannot be fetched from %s: %s", self.host, _describe(error))
        self._is_failing = True


def _download(url: str) -> Mapping[str | None, RemoteKey]:
    data = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT).fetch_data()
    entries = data.get("keys") if isinstance(data, dict) else None
    usable = filter(_is_usable, entries if isinstance(entries, list) else ())
    keys = {entry.get("kid"): key for entry in usable if (key := _parse(entry))}
    if not keys:
        raise ValueError("there is no public key for signatures")
    return keys


def _is_usable(entry: Any) -> bool:
    """Leave out keys for encryption, and shared ones: what anybody can fetch must not count as a secret."""
    return isinstance(entry, dict) and entry.get("use", "sig") == "sig" and entry.get("kty") != "oct"


def _parse(entry: dict[str, Any]) -> RemoteKey | None:
    try:
        return RemoteKey(jwt.PyJWK(entry).key, entry.get("alg"))
    except (jwt.PyJWTError, ValueError, TypeError):
        return None  # A kind that is not known, which RFC 7517 section 5 says to ignore.


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
