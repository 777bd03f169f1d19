"""``TRUSTED_PROXIES``: what header fields say of a client is believed from these addresses only."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.attacks.serving import Server, Servers
from tests.attacks.wire import handshake, request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.0/8 is local on Linux only")

PROXY = "127.0.0.2"
STRANGER = "127.0.0.3"


@pytest.fixture
def proxied(servers: Servers) -> Server:
    """A server behind a proxy, which is reached through another one."""
    return servers.get(TRUSTED_PROXIES=[PROXY, "10.0.0.0/8"])


def seen(server: Server, *fields: str, source: str = PROXY) -> tuple[str, str]:
    """Return the client's address and the scheme that the endpoint sees."""
    with server.open("/client", *fields, source=source) as peer:
        found: dict[str, Any] = peer.receive_json()
        return found["client"][0], found["url"].partition(":")[0]


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        ([], PROXY, "ws"),
        (["X-Forwarded-For: 192.0.2.1"], "192.0.2.1", "ws"),
        (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"], "192.0.2.1", "wss"),
        (["X-Forwarded-Proto: https"], PROXY, "wss"),
        (["Forwarded: for=192.0.2.1;proto=https"], "192.0.2.1", "wss"),
        (['Forwarded: for="[2001:db8::1]:4711"'], "2001:db8::1", "ws"),
        # A chain is followed from its end, as far as it is trusted.
        (["X-Forwarded-For: 198.51.100.9, 192.0.2.1, 10.1.2.3"], "192.0.2.1", "ws"),
        (["X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1", "ws"),
        (["X-Forwarded-For: 192.0.2.1, unknown"], PROXY, "ws"),
        (["X-Forwarded-For: 192.0.2.1, <script>"], PROXY, "ws"),
    ],
)
def test_a_trusted_proxy_is_believed(proxied: Server, fields: list[str], client: str, scheme: str) -> None:
    assert seen(proxied, *fields) == (client, scheme)


@pytest.mark.parametrize(
    "fields",
    [
        ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"],
        ["Forwarded: for=192.0.2.1;proto=https"],
        [f"X-Forwarded-For: 192.0.2.1, {PROXY}"],
    ],
)
def test_nobody_else_is_believed(proxied: Server, server: Server, fields: list[str]) -> None:
    assert seen(proxied, *fields, source=STRANGER) == (STRANGER, "ws")
    assert seen(server, *fields, source=PROXY) == (PROXY, "ws"), "without the setting, no address is trusted"


@pytest.mark.parametrize(("source", "expected"), [(PROXY, "https 192.0.2.1"), (STRANGER, f"http {STRANGER}")])
def test_pages_agree(servers: Servers, proxied: Server, source: str, expected: str) -> None:
    """Django's views see the same client as endpoints do, from uvicorn's middleware."""
    with proxied.connect(source=source) as peer:
        page = request(
            "GET / HTTP/1.1",
            f"Host: {proxied.host}",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: https",
        )
        response = peer.request(page)
        assert peer.take(int(response.fields["content-length"])) == expected.encode()


def test_a_forged_host_lets_no_origin_in(proxied: Server) -> None:
    """``X-Forwarded-Host`` counts only with Django's own setting for it, from nobody here."""
    with proxied.connect(source=STRANGER) as peer:
        forged = handshake(
            "/echo",
            proxied.host,
            "Origin: https://elsewhere.example",
            "X-Forwarded-Host: elsewhere.example",
        )
        assert peer.request(forged).status == 403
