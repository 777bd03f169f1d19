"""Heads of requests that are slow, large or wrong."""

from __future__ import annotations

import resource
import select
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

import pytest

from tests.attacks.serving import KIB, MIB, Bystander, Server, Servers, watch_growth
from tests.attacks.wire import KEY, PATIENCE, TEXT, Peer, frame, handshake, request

HANDSHAKE = "GET /echo HTTP/1.1"
FIELDS = {
    "Host": "Host: {host}",
    "Connection": "Connection: Upgrade",
    "Upgrade": "Upgrade: websocket",
    "Sec-WebSocket-Version": "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key": f"Sec-WebSocket-Key: {KEY}",
}

# ── slow ─────────────────────────────────────────────────────────────────────────────────────────────────


def drip(peers: Iterable[Peer], data: bytes, until: float, every: float = 0.1) -> None:
    """Send a byte at a time to each peer."""
    for byte in data:
        if time.monotonic() > until:
            return
        for peer in peers:
            with suppress(ConnectionError):
                peer.socket.send(bytes([byte]))
        time.sleep(every)


def lifetimes(peers: Iterable[Peer], data: bytes, patience: float) -> list[float]:
    """Drip, and return for how many seconds each connection lasted; infinity where the patience was over first."""
    start = time.monotonic()
    left = {peer.socket: peer for peer in peers}
    ended = []
    sent = 0
    while left and time.monotonic() < start + patience:
        drip(left.values(), data[sent : sent + 1], until=start + patience, every=0)
        sent += 1
        for connection in select.select(list(left), (), (), 0.1)[0]:
            with suppress(ConnectionError):
                if connection.recv(KIB):
                    continue
            del left[connection]
            ended.append(time.monotonic() - start)
    return ended + [float("inf")] * len(left)


def test_dripping_and_silent_connections_are_gone_by_the_deadline(server: Server) -> None:
    """HANDSHAKE_TIMEOUT is 1 second here; others are served undisturbed."""
    head = handshake("/echo", server.host, "X-Padding: " + "x" * 1000)
    with ExitStack() as stack, Bystander(server) as bystander:
        dripping = [stack.enter_context(server.connect()) for _ in range(200)]
        silent = [stack.enter_context(server.connect()) for _ in range(50)]
        lasted = lifetimes(
            [*dripping, *silent], b"", 0
        )  # those that are refused at once, of which there are none
        assert set(lasted) == {float("inf")}
        lasted = lifetimes(dripping, head, 4)
        assert max(lasted) < 2, sorted(lasted)[-5:]
        for peer in silent:
            assert peer.receive_response().status == 408
            assert peer.read_until_end() == b"the request head took too long\n"
    assert bystander.count > 50
    assert bystander.slowest < 0.5


def test_who_drips_is_told_so(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"GET / HT")
        assert peer.receive_response().status == 408


def test_a_drip_on_a_connection_that_http_kept_alive(server: Server) -> None:
    """The second request has a deadline like the first."""
    with ExitStack() as stack:
        peers = []
        for _ in range(20):
            peer = stack.enter_context(server.connect())
            response = peer.request(request("GET / HTTP/1.1", f"Host: {server.host}"))
            assert response.status == 200
            peer.take(int(response.fields["content-length"]))
            peers.append(peer)
        lasted = lifetimes(peers, b"GET / HTTP/1.1\r\nX-Padding: " + b"x" * 1000, 4)
    assert max(lasted) < 2.5, sorted(lasted)[-5:]


def test_silent_clients_do_not_take_the_descriptors_of_others(servers: Servers) -> None:
    """Where a system allows a process little at first, as most do; the server takes what it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        try:
            server = stack.enter_context(servers.make(HANDSHAKE_TIMEOUT=60))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(200):
            stack.enter_context(server.connect())
        with server.open("/echo") as peer:
            assert peer.echoes()
        assert "descriptor" not in server.output()


# ── large ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [8 * KIB + 1, 15 * KIB])
def test_a_long_header_line_is_no_fault(server: Server, size: int) -> None:
    with server.connect() as peer:
        peer.open("/echo", "X-Padding: " + "x" * size)
        assert peer.echoes()
    with server.connect() as peer:
        page = request("GET / HTTP/1.1", f"Host: {server.host}", "X-Padding: " + "x" * size)
        assert peer.request(page).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        [HANDSHAKE, "X-Padding: " + "x" * 16 * KIB],
        ["GET /" + "x" * 16 * KIB + " HTTP/1.1"],
        [HANDSHAKE, *["X-Padding: " + "x" * 100] * 200],
        [HANDSHAKE, *["X: y"] * 200],
    ],
    ids=["one-line", "target", "many-lines", "many-short-lines"],
)
def test_a_head_over_the_limit_is_refused_before_its_end(server: Server, lines: list[str]) -> None:
    with server.connect() as peer:
        peer.send("\r\n".join(lines).encode())
        assert peer.receive_response().status == 431
        peer.read_until_end(1)


def test_the_size_of_the_head_is_a_setting(servers: Servers) -> None:
    server = servers.get(MAX_HEAD_SIZE=1000)
    with server.connect() as peer:
        peer.open("/echo")
        assert peer.echoes()
    with server.connect() as peer:
        assert peer.request(handshake("/echo", server.host, "X-Padding: " + "x" * 1000)).status == 431


@pytest.mark.parametrize(
    "head", [b"nonsense\r\n\r\n", b"GET /" + b"x" * 17 * KIB], ids=["nonsense", "too-large"]
)
def test_refused_clients_that_send_at_full_speed_have_no_more_than_their_turn(
    measured: Server, head: bytes
) -> None:
    """They come again as soon as they are ended; what they send is not kept, and others are served."""
    with watch_growth(measured) as growth, Bystander(measured) as bystander:
        until = time.monotonic() + 1.5
        floods = [threading.Thread(target=flood, args=(measured, head, until)) for _ in range(2)]
        for thread in floods:
            thread.start()
        for thread in floods:
            thread.join()
    assert growth.peak < MIB
    assert bystander.slowest < 0.25
    assert bystander.count > 30


def flood(server: Server, head: bytes, until: float) -> None:
    """Be refused, and send until the server ends the connection, again and again."""
    data = bytes(4 * MIB)
    while time.monotonic() < until:
        with server.connect() as peer, suppress(ConnectionError, TimeoutError):
            peer.send(head)
            while time.monotonic() < until:
                peer.socket.sendall(data)


# ── wrong ────────────────────────────────────────────────────────────────────────────────────────────────


def make(server: Server, line: str = HANDSHAKE, **changes: str | None) -> bytes:
    """Return an opening handshake with other fields; None leaves one out, and lines may be several."""
    fields = FIELDS | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [line, *(value for value in fields.values() if value)]
    return request(*(text.replace("{host}", server.host) for text in "\r\n".join(lines).split("\r\n")))


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (400, {"Sec_WebSocket_Key": None}),
        (400, {"Sec_WebSocket_Key": "Sec-WebSocket-Key: "}),
        (400, {"Sec_WebSocket_Key": "Sec-WebSocket-Key: c2hvcnQ="}),
        (400, {"Sec_WebSocket_Key": "Sec-WebSocket-Key: " + "!" * 24}),
        (400, {"Sec_WebSocket_Key": f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Key: {KEY}"}),
        (400, {"line": "GET /echo HTTP/1.0"}),
        (405, {"line": "POST /echo HTTP/1.1"}),
        (405, {"line": "PUT /echo HTTP/1.1"}),
        (400, {"line": "GET echo HTTP/1.1"}),
        (400, {"line": "GET http://elsewhere/echo HTTP/1.1"}),
        (400, {"Host": None}),
        (400, {"Host": "Host: {host}\r\nHost: {host}"}),
        (400, {"Host": "Host: elsewhere.example"}),
        (400, {"Host": "Host: "}),
        (400, {"Connection": None}),
        (400, {"Connection": "Connection: keep-alive"}),
        (400, {"Upgrade": None}),
        (400, {"Upgrade": "Upgrade: h2c"}),
        (426, {"Sec_WebSocket_Version": None}),
        (426, {"Sec_WebSocket_Version": "Sec-WebSocket-Version: 8"}),
        (426, {"Sec_WebSocket_Version": "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13"}),
        (400, {"More": "Content-Length: 5"}),
        (400, {"More": "Transfer-Encoding: chunked"}),
        (400, {"More": "Origin: null\r\nOrigin: null"}),
        (400, {"More": "Sec-WebSocket-Extensions: ;"}),
        (400, {"More": "Sec-WebSocket-Protocol: a b"}),
        (400, {"More": "X-Folded: a\r\n b"}),
        (400, {"More": "No colon"}),
        (400, {"More": "X-Null: \0"}),
    ],
    ids=lambda value: repr(next(iter(value.values()))) if isinstance(value, dict) else str(value),
)
def test_a_wrong_handshake_is_refused(server: Server, status: int, changes: dict[str, str | None]) -> None:
    with server.connect() as peer:
        response = peer.request(make(server, **changes))
        assert response.status == status
        assert (response.fields.get("sec-websocket-version") == "13") == (status == 426)
        assert peer.read_until_end(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"Connection": "Connection: keep-alive, Upgrade"},
        {"Connection": "Connection: keep-alive\r\nConnection: upgrade"},
        {"Upgrade": "Upgrade: WebSocket"},
        {"More": "Content-Length: 0"},
        {"More": "Sec-WebSocket-Extensions: x-unknown; parameter=1"},
    ],
    ids=lambda value: repr(next(iter(value.values()))),
)
def test_an_unusual_handshake_is_accepted(server: Server, changes: dict[str, str | None]) -> None:
    with server.connect() as peer:
        assert peer.request(make(server, **changes)).status == 101
        assert peer.echoes()


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x00" * 100, b"SSH-2.0-x\r\n", b"\r\n" * 5]
)
def test_what_is_no_http_is_refused_at_once(server: Server, data: bytes) -> None:
    with server.connect() as peer:
        assert peer.request(data).status == 400
        peer.read_until_end(0.5)


def test_frames_that_come_with_the_handshake_are_read(server: Server) -> None:
    """A client need not wait for the answer; what it sends early is neither lost nor unbounded."""
    with server.connect() as peer:
        peer.send(handshake("/echo", server.host) + frame(TEXT, b"early"))
        assert peer.receive_response().status == 101
        assert peer.receive() == (TEXT, b"early")


def test_a_handshake_cut_into_bytes(server: Server) -> None:
    with server.connect() as peer:
        for byte in handshake("/echo", server.host):
            peer.send(bytes([byte]))
        assert peer.receive_response().status == 101
        assert peer.echoes()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_that_end_without_carriage_return(server: Server, end: str) -> None:
    with server.connect() as peer:
        data = handshake("/echo", server.host).replace(b"\r\n", end.encode())
        assert peer.request(data).status == 101
        assert peer.echoes()


def test_refused_connections_that_stay_are_ended(server: Server) -> None:
    """After a refusal the client has CLOSE_TIMEOUT to close."""
    before = server.descriptors()
    with ExitStack() as stack:
        for _ in range(100):
            assert stack.enter_context(server.connect()).request(b"nonsense\r\n\r\n").status == 400
        until = time.monotonic() + PATIENCE
        while server.descriptors() > before:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_connections_over_the_limit_are_told_so(servers: Servers) -> None:
    server = servers.get(MAX_CONNECTIONS=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.open("/echo"))
        with server.connect() as peer:
            response = peer.request(handshake("/echo", server.host))
            assert response.status == 503
            assert "retry-after" in response.fields
    server.wait_until({"connections": 1})


@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "GET /nowhere HTTP/1.1"])
def test_pages_are_served_beside_all_connections(servers: Servers, request_line: str) -> None:
    server = servers.get(MAX_CONNECTIONS=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.open("/echo"))
        with server.connect() as peer:
            response = peer.request(request(request_line, f"Host: {server.host}"))
            assert response.status == (200 if request_line.startswith("GET / ") else 404)


def test_connections_for_pages_are_limited_too(servers: Servers) -> None:
    """Three slow uploads are all that there may be; who comes then is told so. Endpoints have places of their own."""
    server = servers.get(MAX_CONNECTIONS=3, HANDSHAKE_TIMEOUT=60)
    slow = request("POST /upload HTTP/1.1", f"Host: {server.host}", "Content-Length: 1000000")
    server.wait_until({"tasks": 2})
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.connect()).send(slow + b"a")
        server.wait_until({"tasks": 5})
        for _ in range(20):
            response = stack.enter_context(server.connect()).request(slow)
            assert response.status == 503
            assert "retry-after" in response.fields
        assert server.probe()["tasks"] == 5
    server.wait_until({"tasks": 2})
    with server.connect() as peer:
        assert peer.request(request("GET / HTTP/1.1", f"Host: {server.host}")).status == 200


def test_silent_connections_are_limited_too(servers: Servers) -> None:
    """As many heads are awaited as there may be connections; more wait in the kernel until the deadline."""
    server = servers.get(MAX_CONNECTIONS=3)
    before = server.descriptors()
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.connect())
        time.sleep(0.3)
        assert server.descriptors() - before <= 3
