"""Whether a request is for this site, and comes from a page of it.

A browser lets any page open a WebSocket to any host, and sends the cookies of that host along; only the
``Origin`` header field tells where the page is from (RFC 6455 section 10.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.headers import join_values

__all__ = ["host_of", "is_host_allowed", "is_origin_allowed"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEBUG_HOSTS = (".localhost", "127.0.0.1", "[::1]")  # As django.http.request has it.
LONGEST_KEPT = 261
"""Characters of the longest host that is remembered: those of a domain name (RFC 1035 section 2.3.4) and of a port."""


def host_of(header_values: Callable[[str], list[str]]) -> str:
    """Return the host that the client asked for, or with ``USE_X_FORWARDED_HOST`` the one its proxy names.

    Args:
        header_values: Returns the values of the header fields of a name in lower case.
    """
    forwarded = header_values("x-forwarded-host") if settings.USE_X_FORWARDED_HOST else []
    return join_values(forwarded or header_values("host")) or ""


def is_host_allowed(host: str) -> bool:
    """Return whether ``ALLOWED_HOSTS`` lets a host in, by the rules of `HttpRequest.get_host`."""
    allowed = tuple(settings.ALLOWED_HOSTS or (_DEBUG_HOSTS if settings.DEBUG else ()))
    check = _is_among if len(host) <= LONGEST_KEPT else _is_among.__wrapped__
    return check(host, allowed)


@lru_cache(maxsize=256)  # Most clients ask for the same host, and taking it apart costs more than routing.
def _is_among(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def is_origin_allowed(origin: str | None, host: str, *, any_counts: bool = True) -> bool:
    """Return whether a page from an origin may connect.

    Let in are: clients that are no browser and send no origin, the request's own host and port, what
    ``CSRF_TRUSTED_ORIGINS`` lists, and what ``BOLT["ALLOWED_ORIGINS"]`` lists.

    Args:
        origin: Value of the header field; None if there is none.
        host: Host of the request, with its port if it has one.
        any_counts: Whether ``"*"`` and ``"null"``, which any page can be, count in ``BOLT["ALLOWED_ORIGINS"]``.
    """
    if origin is None:
        return True
    allowed = bolt_settings().allowed_origins
    if not any_counts:
        allowed = tuple(entry for entry in allowed if entry not in ("*", "null"))
    if "*" in allowed or origin in allowed:
        return True
    parsed = _parse(origin)
    if parsed is None:
        return False
    return _is_own(parsed, host) or _is_listed(parsed, (*settings.CSRF_TRUSTED_ORIGINS, *allowed))


def _parse(origin: str) -> SplitResult | None:
    """Split ``scheme://host[:port]``; None for anything else, ``null`` included."""
    try:
        parsed = urlsplit(origin)
        port = parsed.port
    except ValueError:
        return None
    has_more = parsed.path or parsed.query or parsed.fragment or "@" in parsed.netloc or port == 0
    return None if has_more or not parsed.scheme or not parsed.hostname else parsed


def _is_own(origin: SplitResult, host: str) -> bool:
    """Compare host and port; the scheme is left out because a proxy that ends TLS hides it."""
    default = _DEFAULT_PORTS.get(origin.scheme)
    if default is None:
        return False
    domain, port = split_domain_port(host)
    # Compared as text: int() of what a client sent may be refused for its length.
    return (
        bool(domain)
        and domain == _domain_of(origin)
        and (port or str(default)) == str(origin.port or default)
    )


def _domain_of(origin: SplitResult) -> str:
    """Return the host as `split_domain_port` writes it."""
    hostname = origin.hostname or ""
    return f"[{hostname}]" if ":" in hostname else hostname.removesuffix(".")


def _is_listed(origin: SplitResult, listed: Iterable[str]) -> bool:
    """Compare with patterns such as ``https://*.example.com``, as Django's CSRF protection does."""
    return any(_matches(origin, pattern) for pattern in listed)


def _matches(origin: SplitResult, pattern: str) -> bool:
    scheme, separator, netloc = pattern.partition("://")
    if not separator or scheme.lower() != origin.scheme:
        return False
    if netloc.startswith("*."):
        return is_same_domain(origin.netloc.lower(), netloc[1:].lower())
    return origin.netloc.lower() == netloc.lower()
