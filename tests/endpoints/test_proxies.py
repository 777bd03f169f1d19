from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
from django.test import override_settings

from django_bolt.endpoints.proxies import (
    Address,
    client_behind_proxies,
    is_secure_behind_proxies,
    scheme_behind_proxies,
)
from tests.memory_connection import MemoryConnection

PROXY = ("10.0.0.1", 40000)
STRANGER = ("203.0.113.7", 40000)
TRUSTED = ["10.0.0.0/8", "2001:db8:aa::/48", "unix"]


@pytest.fixture(autouse=True)
def trusted() -> Iterator[None]:
    with override_settings(BOLT={"TRUSTED_PROXIES": TRUSTED}):
        yield


def client(peer: Address | None = PROXY, **fields: str) -> Address | None:
    """Return the client for header fields, their names with underscores."""
    return client_behind_proxies(peer, {name.replace("_", "-"): value for name, value in fields.items()})


# ── whom to believe ──────────────────────────────────────────────────────────────────────────────────────

CLAIMS = {
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-proto": "https",
    "forwarded": "for=192.0.2.1;proto=https",
}


@pytest.mark.parametrize(
    "peer",
    [
        ("10.0.0.1", 1),
        ("10.255.255.255", 1),
        ("::ffff:10.0.0.1", 1),  # as a socket for IPv6 and IPv4 shows it
        ("2001:db8:aa::1", 1),
        None,
    ],
)
@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded"])
def test_trusted_peers_are_believed(peer: Address | None, name: str) -> None:
    assert client_behind_proxies(peer, {name: CLAIMS[name]}) == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    "peer",
    [
        ("11.0.0.1", 1),
        ("9.255.255.255", 1),
        ("::ffff:11.0.0.1", 1),
        ("::10.0.0.1", 1),  # looks like it, and is another address
        ("2001:db8:ab::1", 1),
        ("fe80::1%eth0", 1),
        ("", 1),
        ("unix", 1),
        ("localhost", 1),
    ],
)
def test_nobody_else_is_believed(peer: Address) -> None:
    assert client_behind_proxies(peer, CLAIMS) == peer
    assert scheme_behind_proxies(peer, CLAIMS) is None
    assert not is_secure_behind_proxies(peer, CLAIMS)


@pytest.mark.parametrize("peer", [PROXY, STRANGER, None])
def test_without_the_setting_nobody_is_believed(peer: Address | None) -> None:
    with override_settings(BOLT={}):
        assert client_behind_proxies(peer, CLAIMS) == peer
        assert not is_secure_behind_proxies(peer, CLAIMS)


def test_a_unix_socket_is_believed_only_where_the_setting_names_it() -> None:
    with override_settings(BOLT={"TRUSTED_PROXIES": ["0.0.0.0/0", "::/0"]}):
        assert client_behind_proxies(None, CLAIMS) is None
        assert scheme_behind_proxies(None, CLAIMS) is None


def test_without_header_fields_the_peer_is_the_client() -> None:
    assert client(PROXY) == PROXY
    assert client(None) is None
    assert scheme_behind_proxies(PROXY, {}) is None


# ── chains ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        # What stands before an address that is not trusted was written by a stranger.
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("10.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 10.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6,6.6.6.6,6.6.6.6,192.0.2.1", "192.0.2.1"),
        # Proxies behind proxies, as far as they are trusted.
        ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.3, 2001:db8:aa::9, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        # All of them trusted: the first one is the client, inside the network.
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("  192.0.2.1  ,\t10.0.0.2 ", "192.0.2.1"),
        (", ,192.0.2.1,,", "192.0.2.1"),
    ],
)
def test_a_chain_is_followed_from_its_end(chain: str, expected: str) -> None:
    assert client(x_forwarded_for=chain) == (expected, 0)
    elements = ", ".join(f'for="{_bracketed(hop.strip())}"' for hop in chain.split(",") if hop.strip())
    assert client(forwarded=elements) == (expected, 0)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize(
    "junk",
    [
        "unknown",
        "_hidden",
        "unix:",
        "localhost",
        "proxy.example:80",
        "<script>",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "0300.0.2.1",
        "192.0.2.1/24",
        "3221225985",
        "٣.0.2.1",
        "'192.0.2.1'",
        "192.0.2.1;drop",
        "[192.0.2.1",
        "192.0.2.1]",
        "[2001:db8::1",
        "[2001:db8::1]junk",
        "[[2001:db8::1]]",
        "[]",
        "[]:80",
        "[2001:db8::1]:80:80",
        ":80",
        "::1::",
        "a" * 5000,
        "\x00",
    ],
)
def test_what_is_no_address_hides_all_that_is_before_it(junk: str) -> None:
    """It is the peer that is known: a name, or an address that a proxy withholds, vouches for nothing."""
    assert client(x_forwarded_for=junk) == PROXY
    assert client(x_forwarded_for=f"192.0.2.1, {junk}") == PROXY
    assert client(x_forwarded_for=f"192.0.2.1, {junk}, 10.0.0.2") == ("10.0.0.2", 0)
    assert client(None, x_forwarded_for=junk) is None
    assert client(x_forwarded_for=f"{junk}, 192.0.2.1") == ("192.0.2.1", 0)


@pytest.mark.parametrize("junk", ["unknown", "_hidden", '"_hidden:_port"', "", '""', "192.0.2.1 ", "x=y"])
def test_forwarded_that_names_no_address(junk: str) -> None:
    expected = ("192.0.2.1", 0) if junk.strip() == "192.0.2.1" else PROXY
    assert client(forwarded=f"for={junk}") == expected
    assert client(forwarded=f"for=6.6.6.6, for={junk}") == expected


# ── ports, brackets, quotes ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:4711", ("192.0.2.1", 4711)),
        ("192.0.2.1:65535", ("192.0.2.1", 65535)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        ("::ffff:192.0.2.1", ("::ffff:192.0.2.1", 0)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_ports(text: str, expected: Address) -> None:
    assert client(x_forwarded_for=text) == expected
    assert client(forwarded=f'for="{text}"') == expected


@pytest.mark.parametrize(
    "port", ["", "0", "65536", "99999", "999999", "-1", "+80", "8_0", "٨٠", "_hidden", "x"]
)
def test_ports_that_are_none_are_left_out(port: str) -> None:
    assert client(x_forwarded_for=f"[2001:db8::1]:{port}") == ("2001:db8::1", 0)
    assert client(forwarded=f'for="[2001:db8::1]:{port}"') == ("2001:db8::1", 0)


@pytest.mark.parametrize(
    "text",
    [
        "for=192.0.2.1",
        "For=192.0.2.1",
        "FOR=192.0.2.1;PROTO=HTTPS",
        'for="192.0.2.1"',
        "for = 192.0.2.1",
        "proto=http;for=192.0.2.1;by=203.0.113.43",
        "for=6.6.6.6;proto=https, by=10.0.0.1;for=192.0.2.1",
        ";;for=192.0.2.1;",
        'secret="a=b";for=192.0.2.1',
        # What looks like one quoted value to some is two elements here: the proxy's own comes last.
        'for="6.6.6.6, for=192.0.2.1',
        'for="6.6.6.6;x=, for=192.0.2.1',
        # What a proxy quotes, its client may have chosen.
        'for=192.0.2.1;host="x, for=6.6.6.6"',
        'for=192.0.2.1;host="x;for=6.6.6.6"',
        'host="x;for=6.6.6.6";for=192.0.2.1',
        'for=192.0.2.1;host="x, \\"for=6.6.6.6"',
        'for=192.0.2.1;host="\\"x, for=6.6.6.6"',
        'for=192.0.2.1;host="x\\\\";proto="http"',
        'for=6.6.6.6;x=", for=192.0.2.1;host="x"',
        'for=6.6.6.6;x=", for=192.0.2.1;host="a\\"b;for=6.6.6.6"',
    ],
)
def test_forwarded(text: str) -> None:
    assert client(forwarded=text) == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    "junk", ['\\"', '"', '",', ";", '";', '\\",', "for=10.0.0.1,", 'for=10.0.0.1;x="a",']
)
def test_a_long_forwarded_takes_linear_time(junk: str) -> None:
    start = time.process_time()
    assert client(forwarded=junk * (60_000 // len(junk))) in (PROXY, ("10.0.0.1", 0))
    assert time.process_time() - start < 5  # a quadratic search would take minutes


@pytest.mark.parametrize("text", ["proto=https", "nonsense", "by=10.0.0.1", "for", "=192.0.2.1", ",,;,"])
def test_forwarded_without_a_client(text: str) -> None:
    assert client(forwarded=text) == PROXY


# ── both kinds ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"x-forwarded-for": "192.0.2.1"}, "192.0.2.1"),
        ({"x-forwarded-for": "unknown"}, PROXY[0]),
        ({"x-forwarded-proto": "http"}, PROXY[0]),
        ({"x-forwarded-for": ""}, PROXY[0]),
    ],
)
def test_a_client_cannot_slip_forwarded_past_a_proxy_that_does_not_know_it(
    fields: dict[str, str], expected: str
) -> None:
    """nginx and most others write X-Forwarded-For, and pass on what else the client has sent."""
    headers = {**fields, "forwarded": "for=6.6.6.6;proto=https"}
    found = client_behind_proxies(PROXY, headers)
    assert found is not None
    assert found[0] == expected
    assert not is_secure_behind_proxies(PROXY, headers)


# ── the scheme ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("https", "https"),
        ("wss", "https"),
        ("HTTPS", "https"),
        (" https ", "https"),
        ("http, https", "https"),
        ("http", "http"),
        ("ws", "http"),
        ("https, http", "http"),
        ("", None),
        ("on", None),
        ("httpss", None),
        ("https,", None),
        ('"https"', None),
    ],
)
def test_schemes(value: str, scheme: str | None) -> None:
    headers = {"x-forwarded-proto": value}
    assert scheme_behind_proxies(PROXY, headers) == scheme
    assert scheme_behind_proxies(None, headers) == scheme
    assert is_secure_behind_proxies(PROXY, headers) is (scheme == "https")
    assert scheme_behind_proxies(STRANGER, headers) is None


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("proto=https", "https"),
        ('for=192.0.2.1;Proto="HTTPS"', "https"),
        ("for=6.6.6.6;proto=https, for=192.0.2.1;proto=http", "http"),
        ("for=6.6.6.6;proto=https, for=192.0.2.1", None),
        ('for=192.0.2.1;proto=http;host="x, proto=https"', "http"),
        ('for=192.0.2.1;proto=http;host="x;proto=https"', "http"),
        ("for=192.0.2.1", None),
        (",;,", None),
    ],
)
def test_schemes_of_forwarded(text: str, scheme: str | None) -> None:
    assert scheme_behind_proxies(PROXY, {"forwarded": text}) == scheme


# ── as handlers see it ───────────────────────────────────────────────────────────────────────────────────


def connection(
    peer: Address | None, headers: Sequence[tuple[str, str]], is_secure: bool = False
) -> MemoryConnection:
    made = MemoryConnection("/ws/room?a=1", headers)
    made.peer, made.is_secure = peer, is_secure  # type: ignore[misc, assignment]
    return made


def test_a_websocket_shows_what_trusted_proxies_say() -> None:
    headers = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "192.0.2.1:99"),
        ("x-forwarded-proto", "https"),
    ]
    believed, alone = connection(PROXY, headers), connection(STRANGER, headers)
    assert (believed.client, believed.url) == (("192.0.2.1", 99), "wss://testserver/ws/room?a=1")
    assert (alone.client, alone.url) == (STRANGER, "ws://testserver/ws/room?a=1")


def test_tls_to_this_process_counts_whatever_a_proxy_says() -> None:
    assert connection(STRANGER, [], is_secure=True).scheme == "wss"
    assert connection(PROXY, [("x-forwarded-proto", "http")], is_secure=True).scheme == "wss"
