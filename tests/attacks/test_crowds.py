"""``MAX_CONNECTIONS_PER_IP`` and ``MAX_CONNECTIONS_PER_USER``: who has too many connections gets 429."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from tests.attacks.serving import Server, Servers
from tests.attacks.wire import close_frame, handshake, request

ELSEWHERE = "127.0.0.2"
needs_addresses = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.0/8 is local on Linux only")


def refuses(server: Server, path: str, *fields: str) -> bool:
    """Whether one more connection gets 429; what is let in is closed again."""
    with server.connect() as peer:
        status = peer.request(handshake(path, server.host, *fields)).status
        assert status in (101, 429)
        return status == 429


def test_connections_of_one_address(servers: Servers) -> None:
    server = servers.get(MAX_CONNECTIONS_PER_IP=3)
    with ExitStack() as stack:
        peers = [stack.enter_context(server.open("/echo")) for _ in range(3)]
        assert refuses(server, "/echo")
        assert refuses(server, "/deaf")
        with server.connect() as peer:
            assert peer.request(request("GET / HTTP/1.1", f"Host: {server.host}")).status == 200
        peers[0].send(close_frame(1000))
        peers[0].receive_close()
        peers[0].expect_end()
        peers[0] = stack.enter_context(server.open("/echo"))
        assert refuses(server, "/echo")
        assert all(peer.echoes() for peer in peers)


def test_refused_connections_are_not_counted(servers: Servers) -> None:
    """Neither those over the limit, nor wrong paths, nor wrong origins."""
    server = servers.get(MAX_CONNECTIONS_PER_IP=3)
    foreign = "Origin: https://elsewhere.example"
    for path, fields, status in [("/nowhere", (), 404), ("/echo", (foreign,), 403)] * 5:
        with server.connect() as peer:
            assert peer.request(handshake(path, server.host, *fields)).status == status
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.open("/echo"))
        for _ in range(5):
            assert refuses(server, "/echo")


@needs_addresses
def test_another_address_has_its_own_count(servers: Servers) -> None:
    server = servers.get(MAX_CONNECTIONS_PER_IP=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.open("/echo"))
        assert refuses(server, "/echo")
        assert stack.enter_context(server.open("/echo", source=ELSEWHERE)).echoes()


@needs_addresses
def test_behind_a_proxy_the_client_counts(servers: Servers) -> None:
    """And a client without a proxy cannot choose its address."""
    server = servers.get(MAX_CONNECTIONS_PER_IP=2, TRUSTED_PROXIES=[ELSEWHERE])
    with ExitStack() as stack:
        for number in range(6):
            client = f"X-Forwarded-For: 192.0.2.{number // 2}"
            stack.enter_context(server.open("/echo", client, source=ELSEWHERE))
        with server.connect(source=ELSEWHERE) as peer:
            full = handshake("/echo", server.host, "X-Forwarded-For: 192.0.2.1")
            assert peer.request(full).status == 429
        for number in range(2):
            stack.enter_context(server.open("/echo", f"X-Forwarded-For: 192.0.2.{100 + number}"))
        assert refuses(server, "/echo", "X-Forwarded-For: 192.0.2.200")


@needs_addresses
def test_the_addresses_of_one_ipv6_network_are_one_client(servers: Servers) -> None:
    server = servers.get(MAX_CONNECTIONS_PER_IP=2, TRUSTED_PROXIES=[ELSEWHERE])

    def field(address: str) -> str:
        return f"X-Forwarded-For: {address}"

    with ExitStack() as stack:
        for number in range(2):
            address = field(f"2001:db8::{number}:{number}")
            stack.enter_context(server.open("/echo", address, source=ELSEWHERE))
        with server.connect(source=ELSEWHERE) as peer:
            another = handshake("/echo", server.host, field("2001:db8::abcd:1:2:3"))
            assert peer.request(another).status == 429
        for address in ("2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1"):
            stack.enter_context(server.open("/echo", field(address), source=ELSEWHERE))
        with server.connect(source=ELSEWHERE) as peer:
            assert peer.request(handshake("/echo", server.host, field("192.0.2.1"))).status == 429


def test_connections_of_one_user(servers: Servers) -> None:
    server = servers.get(MAX_CONNECTIONS_PER_USER=2)
    with ExitStack() as stack:
        peers = [stack.enter_context(server.open("/user", "X-User: alice")) for _ in range(2)]
        with server.connect() as peer:
            response = peer.request(handshake("/user", server.host, "X-User: alice"))
            assert response.status == 429
            assert "retry-after" in response.fields
        assert stack.enter_context(server.open("/user", "X-User: bob")).echoes()
        for _ in range(3):
            assert stack.enter_context(server.open("/user")).echoes(), "who is nobody is not counted"
        peers[0].send(close_frame(1000))
        peers[0].receive_close()
        peers[0].expect_end()
        assert stack.enter_context(server.open("/user", "X-User: alice")).echoes()


@pytest.mark.parametrize("ending", ["reset", "half-close"])
def test_clients_that_vanish_give_their_place_back(servers: Servers, ending: str) -> None:
    server = servers.get(MAX_CONNECTIONS_PER_IP=3)
    with ExitStack() as stack:
        for _ in range(3):
            peer = stack.enter_context(server.open("/echo"))
            if ending == "reset":
                peer.reset()
            else:
                peer.socket.shutdown(1)
                peer.read_until_end(1)
        # The server learns of a reset when it next looks.
        assert server.probe()["connections"] <= 4
        for _ in range(3):
            stack.enter_context(server.open("/echo"))
