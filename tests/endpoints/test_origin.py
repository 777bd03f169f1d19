from __future__ import annotations

import pytest
from django.test import override_settings

from django_bolt.endpoints.origin import _is_among, host_of, is_host_allowed, is_origin_allowed


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("https://EXAMPLE.com", "example.COM"),
        ("https://example.com.", "example.com"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[::1]", "[::1]"),
    ],
)
def test_the_own_host_is_let_in(origin: str, host: str) -> None:
    assert is_origin_allowed(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://notexample.com", "example.com"),
        ("https://sub.example.com", "example.com"),
        ("http://localhost:3000", "localhost:8000"),
        ("http://example.com", "example.com:443"),
        ("https://example.com:8443", "example.com"),
        ("null", "example.com"),
        ("", "example.com"),
        ("example.com", "example.com"),
        ("//example.com", "example.com"),
        ("file://", "example.com"),
        ("ftp://example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("https://example.com/page", "example.com"),
        ("https://user@example.com", "example.com"),
        ("https://evil.example@example.com", "example.com"),
        ("https://example.com, https://example.com", "example.com"),
        ("https://example.com:x", "example.com"),
        ("https://example.com:99999", "example.com"),
        ("https://[::1", "[::1]"),
        ("https://example.com", ""),
        ("https://example.com", "a b"),
        ("https://example.com", "example.com:" + "9" * 5000),
    ],
)
def test_others_are_not(origin: str, host: str) -> None:
    assert not is_origin_allowed(origin, host)


def test_a_client_that_is_no_browser_is_let_in() -> None:
    assert is_origin_allowed(None, "example.com")


@pytest.mark.parametrize("setting", ["BOLT", "CSRF_TRUSTED_ORIGINS"])
@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example", "https://APP.example", True),
        ("https://app.example", "http://app.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example:8443", "https://app.example:8443", True),
        ("https://app.example", "https://sub.app.example", False),
        ("https://*.app.example", "https://sub.app.example", True),
        ("https://*.app.example", "https://a.b.app.example", True),
        ("https://*.app.example", "https://evilapp.example", False),
        ("https://*.app.example", "http://sub.app.example", False),
    ],
)
def test_listed_origins_are_let_in(setting: str, pattern: str, origin: str, allowed: bool) -> None:
    value = {"ALLOWED_ORIGINS": [pattern]} if setting == "BOLT" else [pattern]
    with override_settings(**{setting: value}):
        assert is_origin_allowed(origin, "example.com") is allowed


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "tauri://localhost"])
def test_a_star_lets_any_origin_in(origin: str) -> None:
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["*"]}):
        assert is_origin_allowed(origin, "example.com")


def test_null_and_other_schemes_must_be_listed() -> None:
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["null", "tauri://localhost"]}):
        assert is_origin_allowed("null", "example.com")
        assert is_origin_allowed("tauri://localhost", "example.com")
        assert not is_origin_allowed("capacitor://localhost", "example.com")


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (["example.com"], "example.com", True),
        (["example.com"], "example.com:8000", True),
        (["example.com"], "EXAMPLE.com", True),
        (["example.com"], "evil.example", False),
        ([".example.com"], "sub.example.com", True),
        (["*"], "anything", True),
        (["*"], "", False),
        (["*"], "a b", False),
        (["*"], "a, b", False),
        ([], "localhost", False),
    ],
)
def test_hosts_are_those_of_the_settings(hosts: list[str], host: str, allowed: bool) -> None:
    with override_settings(ALLOWED_HOSTS=hosts, DEBUG=False):
        assert is_host_allowed(host) is allowed


@pytest.mark.parametrize("host", ["localhost:8000", "sub.localhost", "127.0.0.1", "[::1]:8000"])
def test_in_debug_the_own_machine_is_allowed_as_django_does(host: str) -> None:
    with override_settings(ALLOWED_HOSTS=[], DEBUG=True):
        assert is_host_allowed(host)
        assert not is_host_allowed("example.com")
    with override_settings(ALLOWED_HOSTS=["example.com"], DEBUG=True):
        assert not is_host_allowed(host)


def test_a_proxy_names_the_host_only_where_the_settings_say_so() -> None:
    fields = {"host": ["internal:8000"], "x-forwarded-host": ["example.com"]}
    assert host_of(fields.__getitem__) == "internal:8000"
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert host_of(fields.__getitem__) == "example.com"
        assert host_of({**fields, "x-forwarded-host": []}.__getitem__) == "internal:8000"
    assert host_of(lambda name: []) == ""


def test_a_host_is_not_remembered_beyond_a_change_of_the_settings_nor_if_it_is_long() -> None:
    long = f"{'a.' * 200}example.com"
    for hosts, allowed in (([".example.com"], True), ([], False), ([".example.com"], True)):
        with override_settings(ALLOWED_HOSTS=hosts):
            assert is_host_allowed("www.example.com") is allowed
            held = _is_among.cache_info().currsize
            assert is_host_allowed(long) is allowed
            assert _is_among.cache_info().currsize == held


@override_settings(
    CSRF_TRUSTED_ORIGINS=["https://*.example.com"],
    BOLT={"ALLOWED_ORIGINS": ["*", "null", "https://app.example"]},
)
@pytest.mark.parametrize(
    ("origin", "is_named"),
    [
        (None, True),
        ("http://testserver", True),
        ("https://app.example", True),
        ("https://sub.example.com", True),
        ("https://evil.example", False),
        ("null", False),
        ("*", False),
        ("", False),
    ],
)
def test_what_any_page_can_be_counts_only_where_it_may(origin: str | None, is_named: bool) -> None:
    assert is_origin_allowed(origin, "testserver")
    assert is_origin_allowed(origin, "testserver", any_counts=False) is is_named
