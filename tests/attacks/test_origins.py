"""Cross-site WebSocket hijacking: pages of other sites are kept out, the site's own are let in."""

from __future__ import annotations

import pytest

from tests.attacks.serving import Server, Servers
from tests.attacks.wire import handshake


def status_for(server: Server, origin: str | None) -> int:
    """Return the answer to an opening handshake from a page of an origin."""
    fields = [] if origin is None else [f"Origin: {origin}"]
    with server.connect() as peer:
        return peer.request(handshake("/echo", server.host, *fields)).status


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "http://{host}.elsewhere.example",
        "http://elsewhere.example/{host}",
        "http://elsewhere.example#{host}",
        "http://{host}@elsewhere.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "null",
        "",
        "file://",
        "http://",
        "http://[",
    ],
)
def test_a_foreign_page_is_refused(server: Server, origin: str) -> None:
    assert status_for(server, origin.format(host=server.host)) == 403


@pytest.mark.parametrize("origin", ["http://{host}", "https://{host}", None])
def test_the_own_pages_and_clients_that_are_no_browser_are_let_in(server: Server, origin: str | None) -> None:
    assert status_for(server, origin and origin.format(host=server.host)) == 101


def test_allowed_origins_are_let_in(servers: Servers) -> None:
    server = servers.get(ALLOWED_ORIGINS=["https://shop.example", "https://*.example.org"])
    assert status_for(server, "https://shop.example") == 101
    assert status_for(server, "https://www.example.org") == 101
    assert status_for(server, "http://shop.example") == 403
    assert status_for(server, "https://shop.example.elsewhere.example") == 403
    assert status_for(server, "https://wwwexample.org") == 403
