from __future__ import annotations

import base64
import json
import logging
import time
import traceback
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.test import override_settings

from django_bolt.auth import AuthenticationFailed, AuthResult, JWTAuthentication
from tests.memory_connection import MemoryConnection

KEY = "another-key-that-is-longer-than-32-bytes"


def make_token(claims: dict[str, Any] | None = None, key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode({"user_id": 42} if claims is None else claims, key or settings.SECRET_KEY, algorithm)


def by_query(token: str, authentication: JWTAuthentication | None = None) -> AuthResult | None:
    return (authentication or JWTAuthentication()).authenticate(MemoryConnection(f"/ws?token={token}"))


def by_header(value: str, authentication: JWTAuthentication | None = None) -> AuthResult | None:
    websocket = MemoryConnection("/ws", [("authorization", value)])
    return (authentication or JWTAuthentication()).authenticate(websocket)


def encode_part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_is_taken_from_the_header_field(scheme: str) -> None:
    assert by_header(f"{scheme} {make_token()}") == AuthResult(42, {"user_id": 42})


def test_a_token_is_taken_from_the_query() -> None:
    assert by_query(make_token()) == AuthResult(42, {"user_id": 42})


def test_the_header_field_counts_where_both_are_given() -> None:
    websocket = MemoryConnection(
        f"/ws?token={make_token({'user_id': 1})}", [("authorization", f"Bearer {make_token({'user_id': 2})}")]
    )
    result = JWTAuthentication().authenticate(websocket)
    assert result is not None
    assert result.user_id == 2


@pytest.mark.parametrize("target", ["/ws", "/ws?token=", "/ws?other=x"])
def test_no_token_is_nobody(target: str) -> None:
    assert JWTAuthentication().authenticate(MemoryConnection(target)) is None


def test_another_scheme_is_for_somebody_else() -> None:
    assert by_header("Basic dXNlcjpwYXNz") is None


def test_the_places_can_be_chosen() -> None:
    authentication = JWTAuthentication(header="X-Token", query_parameter=None)
    websocket = MemoryConnection(f"/ws?token={make_token()}", [("x-token", f"Bearer {make_token()}")])
    assert authentication.authenticate(websocket) is not None
    assert by_query(make_token(), authentication) is None
    assert by_header(f"Bearer {make_token()}", JWTAuthentication(header=None)) is None
    other = JWTAuthentication(query_parameter="jwt")
    assert other.authenticate(MemoryConnection(f"/ws?jwt={make_token()}")) is not None


MALFORMED = [
    "x",
    "a.b.c",
    "...",
    "%00",
    "%FF",
    "é",
    "a" * 16_000,
    f"{encode_part({'alg': 'HS256'})}.{encode_part({'user_id': 1})}.",
    f"{encode_part([])}.{encode_part({})}.x",
    f"{encode_part({'alg': ['HS256']})}.{encode_part({})}.x",
    base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.x",
]


@pytest.mark.parametrize("token", MALFORMED)
def test_a_malformed_token_fails(token: str) -> None:
    with pytest.raises(AuthenticationFailed, match="not valid"):
        by_query(token)


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer x", "Bearer a b", "bearer a.b.c, bearer d.e.f"]
)
def test_a_malformed_header_field_fails(value: str) -> None:
    with pytest.raises(AuthenticationFailed, match="not valid"):
        by_header(value)


def test_an_unsigned_token_fails() -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(jwt.encode({"user_id": 1}, None, algorithm="none"))


def test_an_algorithm_that_is_not_chosen_fails() -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(make_token(key="k" * 64, algorithm="HS512"), JWTAuthentication("k" * 64))
    assert by_query(
        make_token(key="k" * 64, algorithm="HS512"), JWTAuthentication("k" * 64, algorithms=["HS512"])
    )


def test_a_token_signed_with_another_key_fails() -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(make_token(key=KEY))


def test_a_token_whose_claims_were_changed_fails() -> None:
    head, _, signature = make_token().split(".")
    with pytest.raises(AuthenticationFailed):
        by_query(f"{head}.{encode_part({'user_id': 1})}.{signature}")


def test_an_expired_token_fails_and_says_so() -> None:
    with pytest.raises(AuthenticationFailed, match="expired"):
        by_query(make_token({"user_id": 1, "exp": time.time() - 5}))


def test_leeway_is_for_clocks_that_differ() -> None:
    token = make_token({"user_id": 1, "exp": time.time() - 5})
    assert by_query(token, JWTAuthentication(leeway=60))


def test_a_token_that_is_not_valid_yet_fails() -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(make_token({"user_id": 1, "nbf": time.time() + 60}))


@pytest.mark.parametrize(
    ("claims", "passes"), [({"user_id": 1}, False), ({"user_id": 1, "exp": 2**40}, True)]
)
def test_expiry_can_be_made_a_duty(claims: dict[str, Any], passes: bool) -> None:
    authentication = JWTAuthentication(require=["exp"])
    if passes:
        assert by_query(make_token(claims), authentication)
    else:
        with pytest.raises(AuthenticationFailed):
            by_query(make_token(claims), authentication)


@pytest.mark.parametrize("claim", ["aud", "iss"])
def test_audience_and_issuer_must_be_those_expected(claim: str) -> None:
    authentication = JWTAuthentication(**{{"aud": "audience", "iss": "issuer"}[claim]: "site"})
    assert by_query(make_token({"user_id": 1, claim: "site"}), authentication)
    for claims in ({"user_id": 1, claim: "other"}, {"user_id": 1}):
        with pytest.raises(AuthenticationFailed):
            by_query(make_token(claims), authentication)


def test_a_token_meant_for_somebody_fails_where_no_audience_is_expected() -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(make_token({"user_id": 1, "aud": "other"}))


@pytest.mark.parametrize(
    ("claims", "user_id"),
    [
        ({"user_id": 42}, 42),
        ({"user_id": "ann"}, "ann"),
        ({"user_id": 0}, 0),
        ({"sub": "ann"}, "ann"),
        ({"sub": 42}, 42),
        ({"user_id": 1, "sub": "ann"}, 1),
    ],
)
def test_the_user_is_named_by_its_claim_or_the_subject(claims: dict[str, Any], user_id: Any) -> None:
    result = by_query(make_token(claims))
    assert result is not None
    assert result.user_id == user_id


@pytest.mark.parametrize(
    "claims", [{}, {"user_id": None}, {"user_id": ""}, {"user_id": True}, {"user_id": [1]}]
)
def test_a_token_that_names_no_user_fails(claims: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationFailed, match="names no user"):
        by_query(make_token(claims))


def test_the_claim_can_be_chosen() -> None:
    result = by_query(make_token({"uid": 7}), JWTAuthentication(user_id_claim="uid"))
    assert result is not None
    assert result.user_id == 7


def test_the_key_is_read_when_it_is_used() -> None:
    authentication = JWTAuthentication()
    with override_settings(SECRET_KEY=KEY):
        assert by_query(make_token(key=KEY), authentication)
    with pytest.raises(AuthenticationFailed):
        by_query(make_token(key=KEY), authentication)


@pytest.mark.parametrize("key", [KEY, KEY.encode()])
def test_a_key_can_be_given(key: str | bytes) -> None:
    assert by_query(make_token(key=KEY), JWTAuthentication(key))


@pytest.mark.parametrize("algorithms", [[], ["none"], ["HS256", "None"]])
def test_algorithms_must_sign(algorithms: list[str]) -> None:
    with pytest.raises(ValueError, match="signing algorithms"):
        JWTAuthentication(algorithms=algorithms)


def test_arguments_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(TypeError, match=r"\['HS256'\]"):
        JWTAuthentication(algorithms="HS256")
    key: Any = 5
    with pytest.raises(TypeError, match="text or bytes"):
        JWTAuthentication(key)


def test_neither_token_nor_key_appears_in_text(caplog: pytest.LogCaptureFixture) -> None:
    token = make_token(key=KEY)
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthenticationFailed) as caught:
        by_query(token, JWTAuthentication("wrong" * 10))
    text = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(JWTAuthentication(KEY))
    assert token not in text
    assert token.split(".")[2] not in text
    assert KEY not in text
