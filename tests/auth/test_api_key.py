from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from django_bolt.auth import APIKeyAuthentication, AuthenticationFailed, AuthResult
from django_bolt.auth.calls import call
from tests.memory_connection import MemoryConnection

KEY = "k-0123456789"


async def by_header(key: str, authentication: APIKeyAuthentication) -> AuthResult | None:
    result: AuthResult | None = await call(
        authentication.authenticate, MemoryConnection("/ws", [("x-api-key", key)])
    )
    return result


@pytest.mark.parametrize(
    ("owner", "result"),
    [
        (42, AuthResult(42)),
        ("warehouse", AuthResult("warehouse")),
        ({"user_id": 7, "role": "x"}, AuthResult(7, {"user_id": 7, "role": "x"})),
        (AuthResult(7, permissions=["a.b"]), AuthResult(7, permissions=["a.b"])),
        (User(pk=7), AuthResult(7)),
    ],
    ids=repr,
)
async def test_a_key_belongs_to_its_owner(owner: Any, result: AuthResult) -> None:
    assert await by_header(KEY, APIKeyAuthentication({"other": 1, KEY: owner, "more": 2})) == result


@pytest.mark.parametrize("keys", [[KEY], (KEY, "other"), {KEY: {"role": "sensor"}}])
async def test_a_key_without_a_named_owner_names_its_client(keys: Any) -> None:
    result = await by_header(KEY, APIKeyAuthentication(keys))
    assert result is not None
    assert result.user_id.startswith("key:")
    assert KEY not in result.user_id
    assert result == await by_header(KEY, APIKeyAuthentication(keys))
    other = await by_header("other", APIKeyAuthentication(["other"]))
    assert other is not None
    assert other.user_id != result.user_id


@pytest.mark.parametrize("key", ["wrong", KEY + "x", KEY[:-1], KEY.upper(), "é", "\udc80", "x" * 16_000])
async def test_another_key_fails(key: str) -> None:
    with pytest.raises(AuthenticationFailed, match="API key is not valid"):
        await by_header(key, APIKeyAuthentication([KEY]))


@pytest.mark.parametrize("key", ["", "  "])
async def test_no_key_is_nobody(key: str) -> None:
    assert await by_header(key, APIKeyAuthentication([KEY])) is None
    assert APIKeyAuthentication([KEY]).authenticate(MemoryConnection()) is None


async def test_where_the_key_stands_can_be_chosen() -> None:
    by_query = MemoryConnection(f"/ws?key={KEY}")
    assert APIKeyAuthentication([KEY]).authenticate(by_query) is None
    assert APIKeyAuthentication([KEY], query_parameter="key").authenticate(by_query)
    assert await by_header(KEY, APIKeyAuthentication([KEY], header="X-Other")) is None
    other = MemoryConnection("/ws?key=", [("x-other", f" {KEY} ")])
    assert APIKeyAuthentication([KEY], header="X-Other", query_parameter="key").authenticate(other)
    assert APIKeyAuthentication([KEY], header=None, query_parameter="key").authenticate(other) is None


async def test_keys_come_from_the_settings_where_none_are_given() -> None:
    authentication = APIKeyAuthentication()
    with override_settings(BOLT={"API_KEYS": {KEY: "ann"}}):
        assert await by_header(KEY, authentication) == AuthResult("ann")
    with override_settings(BOLT={"API_KEYS": {KEY: "bob"}}):
        assert await by_header(KEY, authentication) == AuthResult("bob")
    with pytest.raises(AuthenticationFailed):
        await by_header(KEY, authentication)


async def test_a_lookup_runs_in_a_thread_or_on_the_loop() -> None:
    def look_up(key: str) -> int | None:
        assert threading.current_thread() is not threading.main_thread()
        return 7 if key == KEY else None

    async def look_up_later(key: str) -> User | None:
        return User(pk=8) if key == KEY else None

    assert await by_header(KEY, APIKeyAuthentication(lookup=look_up)) == AuthResult(7)
    assert await by_header(KEY, APIKeyAuthentication(lookup=look_up_later)) == AuthResult(8)
    for lookup in (look_up, look_up_later):
        with pytest.raises(AuthenticationFailed):
            await by_header("wrong", APIKeyAuthentication(lookup=lookup))


async def test_the_key_of_a_deactivated_user_fails() -> None:
    with pytest.raises(AuthenticationFailed):
        await by_header(KEY, APIKeyAuthentication({KEY: User(pk=7, is_active=False)}))


@pytest.mark.parametrize("keys", [[""], ["a b"], ["é"], [b"k"], {1: 2}])
def test_a_key_must_be_visible_ascii_and_is_not_shown(keys: Any) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as raised:
        APIKeyAuthentication(keys)
    assert not any(str(key) in str(raised.value) for key in keys if key)


@pytest.mark.parametrize("keys", ["abc", b"abc", 7])
def test_keys_must_be_a_list_or_a_mapping(keys: Any) -> None:
    with pytest.raises(TypeError, match="a mapping or a list"):
        APIKeyAuthentication(keys)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(TypeError, match="not both"):
        APIKeyAuthentication([KEY], lookup=len)
    with pytest.raises(TypeError, match="lookup must be a function of the key, not str"):
        APIKeyAuthentication(lookup="owner_of")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a header field or a query parameter"):
        APIKeyAuthentication([KEY], header=None)


async def test_it_shows_and_logs_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    authentication = APIKeyAuthentication({KEY: "ann"})
    await by_header(KEY, authentication)
    with pytest.raises(AuthenticationFailed) as raised:
        await by_header("guessed", authentication)
    assert "guessed" not in str(raised.value)
    assert KEY not in repr(authentication) + repr(vars(authentication)) + caplog.text
