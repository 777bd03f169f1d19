"""What a proxy in front says of a client: its address and whether it came over TLS.

Anybody can send these header fields, so they count only from the addresses in ``BOLT["TRUSTED_PROXIES"]``. A chain of
proxies is followed from the nearest one outwards, up to the first address that is not trusted.

Where there are ``X-Forwarded-For`` or ``X-Forwarded-Proto``, ``Forwarded`` is not looked at: most proxies write the
former, and pass on the latter as the client has sent it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from django_bolt.conf import bolt_settings

__all__ = ["Address", "client_behind_proxies", "is_secure_behind_proxies", "scheme_behind_proxies"]

Address = tuple[str, int]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WITH_PORT = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<other>[^\[\]:]+))(?::(?P<port>[^:]*))?")
_ESCAPED = re.compile(r"\\.")
_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}

UNIX = "unix"
"""Stands in the setting for a peer on a Unix socket, which has no address."""


def client_behind_proxies(peer: Address | None, headers: Mapping[str, str]) -> Address | None:
    """Return address and port of the client, as far as trusted proxies tell; the port is 0 where they do not.

    Args:
        peer: Address and port of the socket's other end; None for a Unix socket.
        headers: Header fields, names in lower case, repeated ones joined by commas.
    """
    if not _is_trusted(peer and peer[0]):
        return peer
    client = peer
    for host, port in _hops(headers):
        if _parse(host) is None:
            break  # "unknown", or a name that hides the address: what is before it cannot be believed either
        client = (host, port)
        if not _is_trusted(host):
            break
    return client


def is_secure_behind_proxies(peer: Address | None, headers: Mapping[str, str]) -> bool:
    """Return whether the nearest proxy, if it is trusted, was reached over TLS."""
    return scheme_behind_proxies(peer, headers) == "https"


def scheme_behind_proxies(peer: Address | None, headers: Mapping[str, str]) -> str | None:
    """Return how the nearest proxy was reached, ``http`` or ``https``; None if it does not say, or is not trusted."""
    if not _is_trusted(peer and peer[0]):
        return None
    if _has_x_forwarded(headers):
        named = headers.get("x-forwarded-proto", "").split(",")[-1]
    else:
        named = next(_forwarded(headers), {}).get("proto", "")
    return _SCHEMES.get(named.strip().lower())


def _has_x_forwarded(headers: Mapping[str, str]) -> bool:
    return "x-forwarded-for" in headers or "x-forwarded-proto" in headers


def _hops(headers: Mapping[str, str]) -> Iterator[Address]:
    """Return the clients that the proxies saw, the nearest proxy's first."""
    if _has_x_forwarded(headers):
        entries = reversed(headers.get("x-forwarded-for", "").split(","))
        return (_split_port(entry.strip()) for entry in entries if entry.strip())
    return (_split_port(element.get("for", "")) for element in _forwarded(headers))


def _forwarded(headers: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Parse ``Forwarded`` (RFC 7239 section 4), the nearest proxy's element first."""
    for element in _split_from_end(headers.get("forwarded", ""), ","):
        parsed: dict[str, str] = {}
        for pair in _split_from_end(element, ";"):
            name, _, value = pair.partition("=")
            if name.strip():
                parsed.setdefault(name.strip().lower(), value.strip().strip('"'))
        if parsed:
            yield parsed


def _split_from_end(text: str, separator: str) -> Iterator[str]:
    """Return the parts of a text, the last first; inside quotes a separator is none.

    A proxy may quote what its client chose, the host. And from the end, because what strangers have written is before
    what the proxies have: a quote there that is never closed must not reach into it.
    """
    held: list[str] = []
    is_quoted = False
    for part in reversed(text.split(separator)):
        held.append(part)
        is_quoted ^= _ESCAPED.sub("", part).count('"') % 2 == 1
        if not is_quoted:
            yield separator.join(reversed(held))
            held.clear()


def _split_port(text: str) -> Address:
    """Split ``192.0.2.1:4711``, ``[2001:db8::1]:4711`` and what has no port."""
    match = _WITH_PORT.fullmatch(text)
    if match is None:
        return text, 0
    port = match["port"] or ""
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    return match["ipv6"] or match["other"], number if number < 2**16 else 0


def _parse(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; an IPv4 one that a socket for both shows as IPv6 is taken for what it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(host: str | None) -> bool:
    trusted = bolt_settings().trusted_proxies
    if not trusted:
        return False
    if host is None:
        return UNIX in trusted
    address = _parse(host)
    return address is not None and any(address in network for network in _networks(trusted))


@lru_cache(maxsize=8)
def _networks(trusted: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(entry) for entry in trusted if entry != UNIX)
