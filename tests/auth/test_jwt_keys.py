from __future__ import annotations

from typing import Any

import jwt
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_bolt.auth import AuthenticationFailed, JWTAuthentication
from django_bolt.auth.jwt_keys import FixedKey, check_algorithms, is_symmetric
from tests.auth.provider import private_key, public_pem
from tests.memory_connection import MemoryConnection

SHARED = "a-key-that-is-longer-than-64-bytes-so-that-it-is-enough-for-HS512-too"
FAMILIES = [
    ("RS", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
    ("ES", ["ES256"]),
    ("Ed", ["EdDSA"]),
]
PUBLIC = [(kind, name) for kind, names in FAMILIES for name in names]


@pytest.mark.parametrize(("kind", "algorithm"), PUBLIC)
async def test_tokens_are_verified_with_the_public_key(kind: str, algorithm: str) -> None:
    key = private_key(kind)
    authentication = JWTAuthentication(public_pem(key), algorithms=[algorithm])
    token = jwt.encode({"user_id": 7}, key, algorithm)
    assert (await authentication.reauthenticate(MemoryConnection(), token)).user_id == 7
    forged = jwt.encode({"user_id": 7}, private_key(kind, 1), algorithm)
    with pytest.raises(AuthenticationFailed):
        await authentication.reauthenticate(MemoryConnection(), forged)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_tokens_are_verified_with_a_shared_key(algorithm: str) -> None:
    authentication = JWTAuthentication(SHARED, algorithms=[algorithm])
    token = jwt.encode({"user_id": 7}, SHARED, algorithm)
    assert (await authentication.reauthenticate(MemoryConnection(), token)).user_id == 7


@pytest.mark.parametrize(("kind", "algorithm"), PUBLIC)
def test_a_public_key_cannot_be_used_as_a_shared_one(kind: str, algorithm: str) -> None:
    pem = public_pem(private_key(kind))
    with pytest.raises(ValueError, match="does not fit HS256") as raised:
        FixedKey(pem, ["HS256"])
    assert pem.decode()[30:60] not in str(raised.value)
    with pytest.raises(ValueError, match="must not mix HS"):
        check_algorithms([algorithm, "HS256"])


@pytest.mark.parametrize(("kind", "algorithm"), PUBLIC)
@pytest.mark.parametrize("key", [SHARED, "-----BEGIN PUBLIC KEY-----", b"\0", "é"])
def test_a_key_that_does_not_fit_is_refused_at_once_and_not_shown(
    kind: str, algorithm: str, key: Any
) -> None:
    with pytest.raises(ValueError, match=f"does not fit {algorithm}") as raised:
        FixedKey(key, [algorithm])
    assert str(key) not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit ES256"):
        FixedKey(public_pem(private_key("RS")), ["ES256"])
    with pytest.raises(ValueError, match="does not fit ES256"):
        FixedKey(public_pem(private_key("RS")), ["RS256", "ES256"])


def test_a_public_key_must_be_given() -> None:
    with pytest.raises(ValueError, match="RS256 needs key="):
        FixedKey(None, ["RS256"])
    with pytest.raises(ValueError, match="must not be empty"):
        FixedKey("", ["HS256"])


def test_the_secret_key_is_read_at_each_use() -> None:
    key = FixedKey(None, ["HS256"])
    with override_settings(SECRET_KEY=SHARED):
        assert key.get() == SHARED
    assert key.get() != SHARED


@pytest.mark.parametrize("name", ["HS257", "rs256", "", "HS256 "])
def test_an_unknown_algorithm_is_refused_and_the_known_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no algorithm of tokens; there are ES256, .*HS256") as raised:
        check_algorithms([name])
    assert "none" not in str(raised.value)


def test_an_algorithm_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_cryptography(name: str) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(jwt, "get_algorithm_by_name", without_cryptography)
    with pytest.raises(ImproperlyConfigured, match=r"RS256 needs .* pip install 'django_bolt\[jwt\]'"):
        JWTAuthentication("x", algorithms=["RS256"])


def test_symmetric_is_what_signs_and_verifies_with_one_key() -> None:
    assert [is_symmetric(name) for name in ("HS256", "RS256", "ES256", "EdDSA")] == [
        True,
        False,
        False,
        False,
    ]
