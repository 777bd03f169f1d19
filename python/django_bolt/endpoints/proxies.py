"""What a proxy in front says of a client: its address and whether it came over TLS.

Anybody can send these header fields, so they count only from the addresses in ``BOLT["TRUSTED_PROXIES"]``. A chain of
proxies is followed from the nearest one outwards, up to the first address that is not trusted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from functools import lru_cache

from django_bolt.conf import bolt_settings

__all__ = ["Address", "client_behind_proxies", "is_secure_behind_proxies"]

Address = tuple[str, int]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
    for host, port in reversed(list(_hops(headers))):
        if _parse(host) is None:
            break  # "unknown", or a name that hides the address: what is before it cannot be believed either
        client = (host, port)
        if not _is_trusted(host):
            break
    return client


def is_secure_behind_proxies(peer: Address | None, headers: Mapping[str, str]) -> bool:
    """Return whether the nearest proxy, if it is trusted, was reached over TLS."""
    if not _is_trusted(peer and peer[0]):
        return False
    forwarded = list(_forwarded(headers))
    proto = (
        forwarded[-1].get("proto", "") if forwarded else headers.get("x-forwarded-proto", "").split(",")[-1]
    )
    return proto.strip().lower() in ("https", "wss")


def _hops(headers: Mapping[str, str]) -> Iterator[Address]:
    """Return the clients that the proxies saw, the first proxy's first."""
    forwarded = list(_forwarded(headers))
    if forwarded:
        for element in forwarded:
            yield _split_port(element.get("for", ""))
        return
    for entry in headers.get("x-forwarded-for", "").split(","):
        if entry.strip():
            yield _split_port(entry.strip())


def _forwarded(headers: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Parse ``Forwarded`` (RFC 7239 section 4); addresses hold no comma, so that quotes need no care."""
    for element in headers.get("forwarded", "").split(","):
        pairs = (pair.partition("=") for pair in element.split(";"))
        parsed = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs if name.strip()}
        if parsed:
            yield parsed


def _split_port(text: str) -> Address:
    """Split ``192.0.2.1:4711``, ``[2001:db8::1]:4711`` and what has no port."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    is_port = port.isascii() and port.isdigit() and len(port) <= 5
    return host, int(port) if is_port else 0


def _parse(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


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
