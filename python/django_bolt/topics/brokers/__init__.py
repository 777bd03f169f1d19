"""Brokers: what carries publications between processes, chosen by the URL in ``BOLT["BROKER"]``."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers.base import Broker, BrokerStatus, Deliver
from django_bolt.topics.brokers.drops import DropReason

__all__ = ["Broker", "BrokerStatus", "Deliver", "DropReason", "make_broker", "redacted"]

BROKERS = {
    "local": "django_bolt.topics.brokers.local.LocalBroker",
    "memory": "django_bolt.topics.brokers.memory.MemoryBroker",
    **dict.fromkeys(
        (
            f"{family}{tls}{kind}"
            for family in ("redis", "valkey")
            for tls in ("", "s")
            for kind in ("", "+sentinel", "+cluster")
        ),
        "django_bolt.topics.brokers.redis.RedisBroker",
    ),
}
"""Classes by the scheme of their URLs, imported when used."""


def make_broker(url: str, settings: BoltSettings) -> Broker:
    """Make the broker that a URL names; nothing is connected yet.

    Args:
        url: ``scheme://...``. A scheme with a dot in it is the dotted path of a class, which gets the whole URL.
        settings: All settings.

    Raises:
        ImproperlyConfigured: No broker has that scheme, its class cannot be imported, or the URL has a mistake.
    """
    scheme = url.partition("://")[0]
    path = scheme if "." in scheme else BROKERS.get(scheme.lower())
    if path is None:
        valid = ", ".join(f"{name}://" for name in BROKERS)
        raise ImproperlyConfigured(f"BOLT['BROKER'] begins with {scheme}://; the brokers are {valid}.")
    return _load(path)(url, settings)  # a broker's own mistakes in the URL are its to tell


def redacted(url: str) -> str:
    """Return a URL without user name, password and options: fit for a log."""
    scheme, separator, rest = url.partition("://")
    address, _, options = rest.partition("?")
    # An @ among the options may end a password with an unescaped question mark.
    return f"{scheme}{separator}" + ("***" if "@" in options else address.rpartition("@")[2])


def _load(path: str) -> type[Broker]:
    try:
        found = import_string(path)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("redis", "hiredis"):
            raise ImproperlyConfigured(
                "BOLT['BROKER'] needs redis-py: pip install 'django_bolt[redis]'"
            ) from error
        raise ImproperlyConfigured(
            f"BOLT['BROKER'] names {path}, which cannot be imported: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Broker)):
        raise ImproperlyConfigured(f"BOLT['BROKER'] names {path}, which is not a class of brokers.")
    return found
