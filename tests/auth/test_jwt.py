from __future__ import annotations

import base64
import hmac
import json
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.test import modify_settings, override_settings

from django_bolt.auth import AuthenticationFailed, AuthResult, JWTAuthentication
from django_bolt.auth.calls import call
from tests.auth.accounts import amake_user
from tests.auth.provider import Provider
from tests.memory_connection import MemoryConnection

KEY = "another-key-that-is-longer-than-32-bytes"


def make_token(claims: dict[str, Any] | None = None, key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode({"user_id": 42} if claims is None else claims, key or settings.SECRET_KEY, algorithm)


def by_query(token: str, authentication: JWTAuthentication | None = None) -> AuthResult | None:
    return at_once(authentication or JWTAuthentication(), MemoryConnection(f"/ws?token={token}"))


def by_header(value: str, authentication: JWTAuthentication | None = None) -> AuthResult | None:
    websocket = MemoryConnection("/ws", [("authorization", value)])
    return at_once(authentication or JWTAuthentication(), websocket)


def at_once(authentication: JWTAuthentication, websocket: MemoryConnection) -> AuthResult | None:
    """Authenticate by a key that is here, which waits for nothing."""
    result = authentication.authenticate(websocket)
    assert result is None or isinstance(result, AuthResult)
    return result


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
    result = at_once(JWTAuthentication(), websocket)
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
    assert at_once(authentication, websocket) is not None
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
    with pytest.raises(TypeError, match=r"a list of claims, such as \['exp'\]"):
        JWTAuthentication(require="exp")
    key: Any = 5
    with pytest.raises(TypeError, match="text or bytes"):
        JWTAuthentication(key)


@pytest.mark.parametrize("option", ["audience", "issuer"])
@pytest.mark.parametrize("names", [5, "", [], [None], {"a": 1}])
def test_whom_a_token_is_meant_for_or_comes_from_is_named_by_text(option: str, names: Any) -> None:
    with pytest.raises(TypeError, match=rf"{option} must be a name or a list of names, not "):
        JWTAuthentication(**{option: names})


def test_the_log_says_why_a_token_is_not_valid(caplog: pytest.LogCaptureFixture) -> None:
    token = make_token({"user_id": 42, "aud": "others"})
    with caplog.at_level(logging.DEBUG, "django_bolt.auth"), pytest.raises(AuthenticationFailed):
        by_query(token, JWTAuthentication(audience="us"))
    assert caplog.messages == ["A token is not valid: InvalidAudienceError"]


def test_neither_token_nor_key_appears_in_text(caplog: pytest.LogCaptureFixture) -> None:
    token = make_token(key=KEY)
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthenticationFailed) as caught:
        by_query(token, JWTAuthentication("wrong" * 10))
    text = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(JWTAuthentication(KEY))
    assert token not in text
    assert token.split(".")[2] not in text
    assert KEY not in text


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────

FUTURE = 4_000_000_000  # in the year 2096


@pytest.mark.parametrize(
    ("claims", "leeway", "expires_at"),
    [
        ({}, 0, None),
        ({"exp": FUTURE}, 0, FUTURE),
        ({"exp": FUTURE}, 60, FUTURE + 60),
        ({"exp": FUTURE}, timedelta(minutes=1), FUTURE + 60),
        ({"exp": FUTURE + 0.5}, 0, FUTURE + 0.5),
        ({"exp": 10**400}, 0.5, 2.0**53),
        ({"exp": 1e300}, 0, 2.0**53),
    ],
)
def test_a_token_says_until_when_it_holds(claims: dict[str, Any], leeway: Any, expires_at: Any) -> None:
    result = by_query(sign_raw({"user_id": 1, **claims}), JWTAuthentication(leeway=leeway))
    assert result is not None
    assert result.expires_at == expires_at


@pytest.mark.parametrize(
    "exp", [None, str(FUTURE), "", "x", True, [FUTURE], {}, float("nan"), float("inf"), -float("inf"), -1, 0]
)
def test_an_expiry_that_is_no_time_to_come_fails(exp: Any) -> None:
    with pytest.raises(AuthenticationFailed):
        by_query(sign_raw({"user_id": 1, "exp": exp}))


@pytest.mark.parametrize("claim", ["nbf", "iat", "aud", "iss", "jti", "sub"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, [[]], {"a": []}, "\ud800", True])
def test_a_claim_of_a_strange_type_never_is_an_error_of_the_server(claim: str, value: Any) -> None:
    with suppress(AuthenticationFailed):
        by_query(sign_raw({"user_id": 1, claim: value}), JWTAuthentication(audience="a", issuer="b"))


@pytest.mark.parametrize(
    "leeway", [-1, float("nan"), float("inf"), "1", None, True, timedelta(seconds=-1)], ids=repr
)
def test_a_leeway_must_be_a_time(leeway: Any) -> None:
    with pytest.raises(ValueError, match="leeway must be a number of seconds"):
        JWTAuthentication(leeway=leeway)


def sign_raw(claims: dict[str, Any], key: str = settings.SECRET_KEY) -> str:
    """Sign claims that PyJWT would not encode."""
    payload = json.dumps(claims).encode()
    return jwt.PyJWS().encode(payload, key, "HS256")


# ── permissions, users ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("granted", "permissions"),
    [
        (["a.b", "c.d"], {"a.b", "c.d"}),
        ("read  write", {"read", "write"}),
        ("", set()),
        (None, set()),
        (7, set()),
        ({"a.b": True}, set()),
        (["a.b", 1, None, ["c.d"]], {"a.b"}),
    ],
)
def test_a_token_may_grant_permissions(granted: Any, permissions: set[str]) -> None:
    result = by_query(
        make_token({"user_id": 1, "scope": granted}), JWTAuthentication(permissions_claim="scope")
    )
    assert result is not None
    assert result.permissions == permissions


def test_permissions_are_djangos_where_no_claim_is_named() -> None:
    result = by_query(make_token({"user_id": 1, "permissions": ["a.b"]}))
    assert result is not None
    assert result.permissions is None


@pytest.mark.django_db(transaction=True)
async def test_the_user_can_be_checked() -> None:
    authentication = JWTAuthentication(check_user=True)
    user = await amake_user()
    result = await authentication.reauthenticate(MemoryConnection(), make_token({"sub": str(user.pk)}))
    assert (result.user_id, result.user) == (str(user.pk), user)
    user.is_active = False
    await user.asave()
    for user_id in (user.pk, 10**6, "nobody"):
        with pytest.raises(AuthenticationFailed, match="does not exist or is not active"):
            await authentication.reauthenticate(MemoryConnection(), make_token({"user_id": user_id}))


def test_what_the_project_lacks_is_named() -> None:
    with modify_settings(INSTALLED_APPS={"remove": ["django.contrib.auth", "django.contrib.admin"]}):
        assert list(JWTAuthentication().find_problems()) == []
        [problem] = JWTAuthentication(check_user=True).find_problems()
    assert problem == "JWTAuthentication(check_user=True) needs 'django.contrib.auth' in INSTALLED_APPS"


# ── a token that a connected client sends ────────────────────────────────────────────────────────────────


async def test_a_token_can_be_verified_by_itself() -> None:
    result = await JWTAuthentication().reauthenticate(MemoryConnection(), make_token())
    assert result.user_id == 42


@pytest.mark.parametrize(
    "token", [None, 7, b"bytes", ["a"], {}, "", "x", "a" * 20_000, "a." * 10_000, "\ud800", "\0"], ids=repr
)
async def test_what_is_no_token_fails(token: Any) -> None:
    with pytest.raises(AuthenticationFailed, match="not valid"):
        await JWTAuthentication().reauthenticate(MemoryConnection(), token)


async def test_a_good_token_that_is_too_long_fails() -> None:
    with pytest.raises(AuthenticationFailed, match="not valid"):
        await JWTAuthentication().reauthenticate(MemoryConnection(), make_token({"user_id": "a" * 20_000}))


# ── keys at a URL ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An identity provider with one key."""
    with Provider() as provider:
        provider.add("first")
        yield provider


async def verify(provider: Provider, token: str, **options: Any) -> AuthResult:
    authentication = JWTAuthentication(jwks_url=provider.url, **options)
    return await authentication.reauthenticate(MemoryConnection(), token)


async def test_a_token_is_verified_with_the_providers_key(provider: Provider) -> None:
    assert (await verify(provider, provider.sign("first", {"user_id": 7}))).user_id == 7


async def test_the_key_is_found_during_the_opening_handshake(provider: Provider) -> None:
    authentication = JWTAuthentication(jwks_url=provider.url)
    token = provider.sign("first", {"user_id": 7})
    result = await call(authentication.authenticate, MemoryConnection(f"/ws?token={token}"))
    assert result.user_id == 7
    assert authentication.authenticate(MemoryConnection()) is None


async def test_the_algorithms_are_ours_and_the_keys_and_not_the_tokens(provider: Provider) -> None:
    provider.add("for RS384", alg="RS384")
    token = provider.sign("for RS384", {"user_id": 7}, "RS384")
    assert (await verify(provider, token, algorithms=["RS256", "RS384"])).user_id == 7
    for wrong in (token, provider.sign("for RS384", {"user_id": 7}, "RS256")):
        with pytest.raises(AuthenticationFailed, match="not valid"):
            await verify(provider, wrong)


async def test_a_public_key_is_no_shared_one(provider: Provider) -> None:
    pem = provider.public_pem("first")
    for forged in (
        sign_with(pem, {"alg": "HS256", "kid": "first"}),
        sign_with(b"", {"alg": "none", "kid": "first"}),
    ):
        with pytest.raises(AuthenticationFailed, match="not valid"):
            await verify(provider, forged)
    assert provider.fetches == 0


async def test_a_shared_key_that_the_provider_offers_does_not_count(provider: Provider) -> None:
    secret = b"s" * 32
    provider.keys["shared"] = {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(secret).decode()}
    for algorithm in ("HS256", "RS256"):
        with pytest.raises(AuthenticationFailed, match="not valid"):
            await verify(provider, sign_with(secret, {"alg": algorithm, "kid": "shared"}))


@pytest.mark.parametrize(
    "key_id",
    ["unknown", "", "../first", "first\0", "first ", "FIRST", "é", "a" * 5000, 7, None, ["first"], {}],
)
async def test_a_key_id_only_ever_names_a_key(provider: Provider, key_id: Any) -> None:
    provider.add("second")
    header = {"alg": "RS256", "kid": key_id, "jku": "http://127.0.0.1:1/", "x5u": "file:///etc/passwd"}
    with pytest.raises(AuthenticationFailed, match="not valid"):
        await verify(provider, sign_with(b"x" * 32, header))


async def test_a_key_in_the_token_itself_does_not_count(provider: Provider) -> None:
    with Provider() as other:
        other.add("another")
        other.add("first")
        headers = {"jwk": other.keys["first"], "jku": other.url}
        with pytest.raises(AuthenticationFailed, match="not valid"):
            await verify(provider, other.sign("first", {"user_id": 7}, headers=headers))
        assert other.fetches == 0


def sign_with(secret: bytes, header: dict[str, Any]) -> str:
    """Make a token with any header, signed by HMAC as a forger would."""
    text = f"{encode_part(header)}.{encode_part({'user_id': 1})}"
    digest = hmac.new(secret, text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_wrong_options_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="key or jwks_url, not both"):
        JWTAuthentication(KEY, jwks_url="https://example.com/keys")
    with pytest.raises(ValueError, match="HS256 cannot be verified with public keys"):
        JWTAuthentication(jwks_url="https://example.com/keys", algorithms=["HS256"])
    with pytest.raises(ValueError, match="must be a place"):
        JWTAuthentication(header=None, query_parameter=None, subprotocol=False)
