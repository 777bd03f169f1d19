from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from django_bolt import HTTPException
from django_bolt.auth import AuthenticationFailed, jwks
from django_bolt.auth.jwks import RemoteKeys
from tests.auth.provider import Provider


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jwks, "time", clock)
    return clock


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        provider.add("first")
        yield provider


@pytest.fixture
def keys(provider: Provider, clock: Clock) -> RemoteKeys:
    return RemoteKeys(provider.url)


async def wait_for_fetch(keys: RemoteKeys) -> None:
    """Wait for a fetch that nobody waits for."""
    await keys._wait_for(keys._fetch)


async def test_keys_are_fetched_when_first_needed_and_kept(provider: Provider, keys: RemoteKeys) -> None:
    assert provider.fetches == 0
    first = await keys.find("first")
    assert await keys.find("first") is first
    assert provider.fetches == 1


async def test_who_comes_meanwhile_waits_for_the_same_fetch(provider: Provider, keys: RemoteKeys) -> None:
    provider.gate.clear()
    waiting = [asyncio.create_task(keys.find("first")) for _ in range(50)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    provider.gate.set()
    assert len(set(map(id, await asyncio.gather(*waiting)))) == 1
    assert provider.fetches == 1


async def test_a_new_key_is_found_once_the_interval_has_passed(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    await keys.find("first")
    provider.add("second")
    with pytest.raises(AuthenticationFailed):
        await keys.find("second")
    clock.now += jwks.INTERVAL
    await keys.find("second")
    assert provider.fetches == 2


async def test_tokens_with_unknown_keys_cause_one_fetch_an_interval(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    for interval in range(3):
        for number in range(100):
            with pytest.raises(AuthenticationFailed):
                await keys.find(f"hostile-{interval}-{number}")
        clock.now += jwks.INTERVAL
    assert provider.fetches == 3


async def test_old_keys_are_used_while_they_are_fetched_again(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    first = await keys.find("first")
    clock.now += jwks.LIFESPAN + 1
    provider.gate.clear()
    assert await keys.find("first") is first
    del provider.keys["first"]
    provider.add("second")
    provider.gate.set()
    await wait_for_fetch(keys)
    assert provider.fetches == 2
    with pytest.raises(AuthenticationFailed):
        await keys.find("first")


async def test_keys_outlive_an_outage_but_not_for_ever(
    provider: Provider, keys: RemoteKeys, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first = await keys.find("first")
    provider.status = 500
    for _ in range(5):
        clock.now += jwks.LIFESPAN + 1
        assert await keys.find("first") is first
        await wait_for_fetch(keys)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot be fetched from 127.0.0.1: PyJWKClientConnectionError" in caplog.text
    clock.now += jwks.MAX_AGE
    with pytest.raises(HTTPException):
        await keys.find("first")


async def test_without_keys_the_answer_is_503_until_they_can_be_had(
    provider: Provider, keys: RemoteKeys, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    provider.status = 503
    for _ in range(20):
        with pytest.raises(HTTPException) as raised:
            await keys.find("first")
        assert (raised.value.status_code, raised.value.headers) == (503, {"Retry-After": "5"})
    assert provider.fetches == 1
    provider.status = 200
    clock.now += jwks.RETRY
    await keys.find("first")
    ours = [record.levelname for record in caplog.records if record.name == "django_bolt.auth"]
    assert ours == ["ERROR", "INFO"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [7, null, "x"]}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "RSA", "kid": "first"}]}',
        b'{"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_an_answer_without_a_public_key_is_a_failure(
    provider: Provider, keys: RemoteKeys, body: bytes
) -> None:
    provider.body = body
    with pytest.raises(HTTPException) as raised:
        await keys.find("first")
    assert raised.value.status_code == 503


async def test_a_provider_that_is_not_there_is_a_failure(clock: Clock) -> None:
    with Provider() as gone:
        url = gone.url
    with pytest.raises(HTTPException):
        await RemoteKeys(url).find("first")


async def test_a_provider_that_does_not_answer_is_a_failure(
    provider: Provider, keys: RemoteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.02)
    provider.gate.clear()
    with pytest.raises(HTTPException):
        await keys.find("first")


async def test_keys_that_do_not_verify_signatures_are_left_out(provider: Provider, keys: RemoteKeys) -> None:
    provider.add("for encryption", use="enc")
    provider.keys["strange"] = {"kty": "strange", "kid": "strange"}
    await keys.find("first")
    for key_id in ("for encryption", "strange"):
        with pytest.raises(AuthenticationFailed):
            await keys.find(key_id)


async def test_a_token_that_names_no_key_gets_the_only_one(provider: Provider, keys: RemoteKeys) -> None:
    assert await keys.find(None) is await keys.find("first")
    provider.add("second")
    other = RemoteKeys(provider.url)
    with pytest.raises(AuthenticationFailed):
        await other.find(None)


@pytest.mark.parametrize(("kind", "alg"), [("RS", "RS256"), ("ES", "ES256"), ("Ed", "EdDSA"), ("RS", None)])
async def test_a_key_says_what_it_is_for(provider: Provider, keys: RemoteKeys, kind: str, alg: Any) -> None:
    provider.add("other", kind, **({"alg": alg} if alg else {}))
    assert (await keys.find("other")).algorithm == alg


@pytest.mark.parametrize(
    "url", ["", "example.com/keys", "file:///etc/passwd", "ftp://example.com/keys", "https://", "data:,{}"]
)
def test_the_url_must_be_one_of_http(url: str) -> None:
    with pytest.raises(ValueError, match="jwks_url must begin with https://"):
        RemoteKeys(url)


async def test_the_log_has_no_password_of_the_url(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(HTTPException):
        await RemoteKeys("http://name:hush@127.0.0.1:1/keys").find("first")
    assert "cannot be fetched from 127.0.0.1" in caplog.text
    assert "hush" not in caplog.text


async def test_a_thread_that_cannot_be_started_is_tried_again(
    keys: RemoteKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(HTTPException) as refusal:
            await keys.find("first")
    assert refusal.value.status_code == 503
    clock.now += jwks.INTERVAL
    assert await keys.find("first")
