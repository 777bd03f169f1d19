from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_bolt.topics.brokers.redis.url import parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "redis://localhost",
            {"hosts": (("localhost", 6379),), "kind": "", "text": "redis://localhost:6379"},
        ),
        ("redis://10.0.0.1:7000/2", {"hosts": (("10.0.0.1", 7000),), "connection": {"db": 2}}),
        ("redis://[::1]:7000", {"hosts": (("::1", 7000),)}),
        ("redis://[::1]", {"hosts": (("::1", 6379),)}),
        ("redis://:p%40ss@h", {"connection": {"password": "p@ss", "db": 0}}),
        ("redis://ann:a:b@h", {"connection": {"username": "ann", "password": "a:b", "db": 0}}),
        ("valkey://h", {"text": "redis://h:6379"}),
        (
            "rediss://h",
            {
                "connection": {"db": 0, "ssl_cert_reqs": "required", "ssl_check_hostname": True},
                "text": "rediss://h:6379",
            },
        ),
        (
            "valkeys://h?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none",
            {
                "connection": {
                    "db": 0,
                    "ssl_cert_reqs": "none",
                    "ssl_check_hostname": False,
                    "ssl_ca_certs": "/ca.pem",
                }
            },
        ),
        ("redis://h/1", {"prefix": "tests/1:"}),
        ("redis://h/1?prefix=staging", {"prefix": "staging/1:"}),
        (
            "redis+sentinel://ann:x@a,b:5000/main?sentinel_password=y",
            {
                "kind": "sentinel",
                "hosts": (("a", 26379), ("b", 5000)),
                "service": "main",
                "connection": {"username": "ann", "password": "x", "db": 0},
                "sentinel": {"password": "y"},
                "text": "redis+sentinel://a:26379,b:5000/main",
            },
        ),
        ("redis+sentinel://a/main/3", {"service": "main", "connection": {"db": 3}}),
        ("redis+cluster://a,b:7001", {"hosts": (("a", 6379), ("b", 7001)), "sharded": True}),
        ("redis+cluster://a?sharded=no", {"sharded": False, "kind": "cluster"}),
        ("redis://h", {"sharded": False}),
    ],
)
def test_urls(url: str, expected: dict[str, Any]) -> None:
    parsed = parse_url(url)
    text = expected.pop("text", None)
    assert {name: getattr(parsed, name) for name in expected} == expected
    assert text in (None, str(parsed))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://", "not of the form redis://"),
        ("redis://h:port", "not of the form redis://"),
        ("redis://h/name", "not of the form redis://"),
        ("redis://a b:99999999", "not of the form redis://"),
        ("redis+sentinel://h", r"not of the form redis\+sentinel://"),
        ("redis+sentinel://h/", r"not of the form redis\+sentinel://"),
        ("redis+sentinel://h/main/x", r"not of the form redis\+sentinel://"),
        ("redis+cluster://h,", r"not of the form redis\+cluster://"),
        ("redis+cluster://h/1", "a cluster has only one"),
        ("redis://h?timeout=1", "unknown option 'timeout'; the options are prefix, "),
        ("redis://h?sharded=no", r"'sharded' in .* is for redis\+cluster:// only"),
        ("redis+cluster://h?sharded=maybe", "must be yes or no"),
        ("redis://h?sentinel_password=x", r"is for redis\+sentinel:// only"),
        ("redis://h?ssl_ca_certs=x", "is for rediss:// only"),
        ("rediss://h?ssl_check_hostname=1", "must be yes or no"),
    ],
)
def test_mistakes(url: str, reason: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=reason):
        parse_url(url.replace("://", "://user:secret@", 1))
    with pytest.raises(ImproperlyConfigured) as raised:
        parse_url(url.replace("://", "://user:secret@", 1))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["redis://:hush?hush@host", "redis://:hush/hush@host", "redis://:hush@hush@host:x"]
)
def test_a_password_with_special_characters_is_not_shown(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        parse_url(url)
    assert "hush" not in str(raised.value)


def test_passwords_are_not_shown() -> None:
    parsed = parse_url("rediss+sentinel://user:secret@h/main?sentinel_password=hidden")
    for text in (str(parsed), repr(parsed)):
        assert "secret" not in text
        assert "hidden" not in text
