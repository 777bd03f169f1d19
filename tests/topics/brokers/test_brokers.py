"""Choosing a broker by its URL."""

from __future__ import annotations

import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers import BROKERS, make_broker, redacted
from django_bolt.topics.brokers.local import LocalBroker
from django_bolt.topics.brokers.memory import MemoryBroker
from django_bolt.topics.brokers.redis import RedisBroker


class OwnBroker(MemoryBroker):
    """A broker as others write it."""


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBroker),
        ("local://", LocalBroker),
        ("LOCAL://name", LocalBroker),
        ("redis://localhost", RedisBroker),
        ("valkeys+cluster://a,b", RedisBroker),
        (f"{__name__}.OwnBroker://host/x", OwnBroker),
    ],
)
def test_the_scheme_names_the_broker(url: str, kind: type) -> None:
    broker = make_broker(url, BoltSettings())
    assert type(broker).__name__ == kind.__name__
    assert broker.url == url


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        make_broker("amqp://user:secret@host", BoltSettings())
    assert "amqp://" in str(raised.value)
    assert all(f"{scheme}://" in str(raised.value) for scheme in BROKERS)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("path", ["no.such.Broker", "django_bolt.conf.BoltSettings", "django_bolt.conf.none"])
def test_a_path_that_names_no_broker(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=path):
        make_broker(f"{path}://", BoltSettings())


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("django_bolt.topics.brokers.redis")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'django_bolt\[redis\]'"):
        make_broker("redis://localhost", BoltSettings())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:p@ss@host:1/0?sentinel_password=x", "redis://host:1/0"),
        ("redis://:secret@a,b/0", "redis://a,b/0"),
        ("redis://:a/b@host", "redis://host"),
        ("redis://:a?b@host", "redis://***"),
        ("local://", "local://"),
        ("local:///run/x", "local:///run/x"),
    ],
)
def test_redacted_shows_no_credentials(url: str, shown: str) -> None:
    assert redacted(url) == shown
