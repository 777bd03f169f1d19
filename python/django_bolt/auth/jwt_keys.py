"""Keys that tokens are verified with, and the algorithms that they may be used for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import HMACAlgorithm, get_default_algorithms, requires_cryptography

__all__ = ["FixedKey", "check_algorithms", "is_symmetric"]


def check_algorithms(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of algorithms if tokens may be verified by them.

    Raises:
        TypeError: One string is given instead of a list.
        ValueError: There is none, one is ``none`` or unknown, or shared and public keys are mixed: whoever knows
            a public key could sign with it as if it were a shared one.
        ImproperlyConfigured: One needs the package cryptography.
    """
    if isinstance(names, str):
        raise TypeError(f"algorithms must be a list of names, such as [{names!r}]")
    if not names or any(str(name).lower() == "none" for name in names):
        raise ValueError("algorithms must name signing algorithms, and 'none' is not one")
    for name in names:
        _check_algorithm(name)
    if len({is_symmetric(name) for name in names}) > 1:
        raise ValueError(
            f"algorithms must not mix HS… with others: {', '.join(names)}; use two JWTAuthentication"
        )
    return tuple(names)


def is_symmetric(name: str) -> bool:
    """Return whether an algorithm verifies with the key that signs."""
    return isinstance(jwt.get_algorithm_by_name(name), HMACAlgorithm)


def _check_algorithm(name: str) -> None:
    try:
        jwt.get_algorithm_by_name(name)
    except NotImplementedError:
        if name in requires_cryptography:
            raise ImproperlyConfigured(
                f"JWTAuthentication: {name} needs the package cryptography: pip install 'django_bolt[jwt]'"
            ) from None
        known = ", ".join(sorted({*get_default_algorithms(), *requires_cryptography} - {"none"}))
        raise ValueError(f"{name!r} is no algorithm of tokens; there are {known}") from None


class FixedKey:
    """One key: shared with the signer, or its public one.

    Args:
        key: The key, public ones in PEM; None: Django's ``SECRET_KEY``, read at each use.
        algorithms: Checked names of algorithms.

    Raises:
        ValueError: The key does not fit an algorithm, or a public one is missing.
        TypeError: The key is neither text nor bytes.
    """

    def __init__(self, key: str | bytes | None, algorithms: Sequence[str]) -> None:
        if key is None and not is_symmetric(algorithms[0]):
            raise ValueError(f"{algorithms[0]} needs key=, the signer's public key in PEM, or jwks_url=")
        self._key = None if key is None else _prepare(key, algorithms)

    def get(self) -> Any:
        """Return the key, ready for use."""
        return settings.SECRET_KEY if self._key is None else self._key


def _prepare(key: Any, algorithms: Sequence[str]) -> Any:
    if not isinstance(key, str | bytes):
        raise TypeError(f"key must be text or bytes, not {type(key).__name__}")
    if not key:
        raise ValueError("key must not be empty")
    prepared: Any = None
    for name in algorithms:
        try:
            prepared = jwt.get_algorithm_by_name(name).prepare_key(key)
        except (jwt.PyJWTError, ValueError, TypeError):
            wanted = "text that is no PEM" if is_symmetric(name) else "a public key of its kind in PEM"
            # "from None": what a library says of a key may quote it.
            raise ValueError(f"The key does not fit {name}, which takes {wanted}") from None
    return prepared
