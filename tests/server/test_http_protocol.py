"""The limits of what follows the first head of a connection, and what is left of the answers to it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from django_bolt import _core
from tests.live_server import LiveServer, LiveServers
from tests.server.test_http import KEY, WEBSOCKET, Wire

HANDSHAKE_TIMEOUT = 0.6
MAX_HEAD_SIZE = 16_384


@pytest.fixture(scope="module")
def server(live_servers: LiveServers) -> LiveServer:
    """A server that does not wait long for a head."""
    return live_servers.get({"HANDSHAKE_TIMEOUT": HANDSHAKE_TIMEOUT})


@pytest.fixture
def kept_alive(server: LiveServer) -> Iterator[Wire]:
    """A connection that has had its first answer."""
    with Wire(server) as wire:
        wire.send(wire.request("GET /echo/ HTTP/1.1"))
        assert wire.response()[0] == 200
        yield wire


# ── heads behind the first ────────────────────────────────────────────────────────────────────────────────────────


def test_a_later_head_that_is_too_large(kept_alive: Wire) -> None:
    head = kept_alive.request("GET /echo/ HTTP/1.1", "X: ")[:-4]
    kept_alive.send(head)
    kept_alive.send(b"a" * (MAX_HEAD_SIZE + 1 - len(head)))
    assert kept_alive.response()[0] == 431
    assert kept_alive.connection.recv(1) == b""


def test_a_later_head_that_is_not_too_large(kept_alive: Wire) -> None:
    head = kept_alive.request("GET /echo/ HTTP/1.1", "X: ")[:-4]
    kept_alive.send(head)
    kept_alive.send(b"a" * (MAX_HEAD_SIZE - len(head) - 4))
    kept_alive.send(b"\r\n\r\n")
    assert kept_alive.response()[0] == 200


def test_a_later_head_that_never_ends_costs_no_memory(kept_alive: Wire) -> None:
    kept_alive.send(kept_alive.request("GET /echo/ HTTP/1.1")[:-2] + b"X: ")
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        kept_alive.send(b"a" * 50_000_000)


def test_a_later_head_that_drips(kept_alive: Wire) -> None:
    """No byte extends the time."""
    began = time.monotonic()
    kept_alive.connection.settimeout(0.1)
    answer = b""
    head = iter(kept_alive.request("GET /echo/ HTTP/1.1", f"X: {'a' * 200}"))
    while not answer:
        assert time.monotonic() - began < 5
        kept_alive.send(bytes([next(head)]))
        try:
            answer = kept_alive.connection.recv(1000)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > 0.8 * HANDSHAKE_TIMEOUT
    with contextlib.suppress(ConnectionResetError):  # The last drop may meet a closed socket.
        assert kept_alive.connection.recv(1000) == b""


def test_a_later_upload_takes_its_time(kept_alive: Wire) -> None:
    """Longer than a head may take, and larger than it may be; and the next request has its own time."""
    size, pieces = 3 * MAX_HEAD_SIZE, 6
    for _ in range(2):
        kept_alive.send(kept_alive.request("POST /echo/ HTTP/1.1", f"Content-Length: {size}"))
        for _ in range(pieces):
            kept_alive.send(b"a" * (size // pieces))
            time.sleep(1.3 * HANDSHAKE_TIMEOUT / pieces)
        status, _, body = kept_alive.response()
        assert (status, len(json.loads(body)["body"])) == (200, size)


def test_a_later_upload_in_one_piece_with_its_head(kept_alive: Wire) -> None:
    size = 20 * MAX_HEAD_SIZE
    head = kept_alive.request("POST /echo/ HTTP/1.1", f"Content-Length: {size}")
    for _ in range(3):
        kept_alive.send(head + b"a" * size)
        status, _, body = kept_alive.response()
        assert (status, len(json.loads(body)["body"])) == (200, size)


@pytest.mark.parametrize("cut", [None, 1000])
def test_pipelined_requests_may_be_larger_together(kept_alive: Wire, cut: int | None) -> None:
    count = 100
    fill = f"X: {'a' * 300}"
    requests = b"".join(kept_alive.request(f"GET /echo/?n={n} HTTP/1.1", fill) for n in range(count))
    assert len(requests) > 2 * MAX_HEAD_SIZE
    for start in range(0, len(requests), cut or len(requests)):
        kept_alive.send(requests[start : start + (cut or len(requests))])
    numbers = [json.loads(kept_alive.response()[2])["query"]["n"] for _ in range(count)]
    assert numbers == list(map(str, range(count)))


def test_an_answer_may_take_longer_than_a_head(kept_alive: Wire) -> None:
    kept_alive.send(kept_alive.request(f"GET /stream/3/?pause={0.6 * HANDSHAKE_TIMEOUT} HTTP/1.1"))
    kept_alive.read_until(b"line 2\n")
    kept_alive.read_until(b"0\r\n\r\n")
    kept_alive.send(kept_alive.request("GET /echo/ HTTP/1.1"))
    assert kept_alive.response()[0] == 200


# ── upgrades behind requests ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/echo/", "/stream/3/?pause=0.05"])
def test_a_request_with_an_upgrade_directly_behind_it_is_answered(server: LiveServer, path: str) -> None:
    start = server.log.stat().st_size
    with Wire(server) as wire:
        upgrade = _core.ClientProtocol("/outcomes/echo", server.host).request()
        wire.send(wire.request(f"GET {path} HTTP/1.1") + upgrade)
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        answer = wire.received
        while data := wire.connection.recv(65536):
            answer += data
        assert b"101 Switching" not in answer
        assert b"line 2\n" in answer or b'"method": "GET"' in answer
    with Wire(server) as wire:
        wire.exchange(wire.upgrade(), "it goes on")
    assert "Traceback" not in server.output(start)


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "end"])
def test_a_client_that_leaves_a_streamed_answer_with_an_upgrade_behind_it(
    server: LiveServer, is_reset: bool
) -> None:
    start = server.log.stat().st_size
    for _ in range(3):
        with Wire(server) as wire:
            upgrade = _core.ClientProtocol("/outcomes/echo", server.host).request()
            wire.send(wire.request("GET /stream/30/?pause=0.01 HTTP/1.1") + upgrade)
            wire.read_until(b"line 3\n")
            if is_reset:
                reset_at_close(wire)
    wait_for_a_stream(server)
    assert server.output(start) == ""


def reset_at_close(wire: Wire) -> None:
    """Have TCP end by a reset."""
    wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def wait_for_a_stream(server: LiveServer) -> None:
    """Read an answer that takes longer than what others have begun."""
    with Wire(server) as wire:
        wire.send(wire.request("GET /stream/30/?pause=0.02 HTTP/1.1", "Connection: close"))
        wire.read_until(b"line 29\n")


def test_an_answer_that_was_not_taken_yet_is_not_cut_off_by_an_upgrade(server: LiveServer) -> None:
    size = 1_000_000  # six times as large as JSON, and larger than what the kernel takes
    with Wire(server) as wire:
        wire.send(wire.request("POST /echo/ HTTP/1.1", f"Content-Length: {size}") + bytes(size))
        wire.read_until(b"HTTP/1.1 200 OK\r\n")
        wire.send(_core.ClientProtocol("/outcomes/echo", server.host).request())
        time.sleep(0.1)  # the server shall see it before the answer is taken
        wire.received = b"HTTP/1.1 200 OK\r\n" + wire.received
        status, _, body = wire.response()
        assert (status, len(json.loads(body)["body"])) == (200, size)
        assert wire.connection.recv(1) == b""


def test_frames_that_come_with_an_upgrade_are_read(kept_alive: Wire) -> None:
    protocol = _core.ClientProtocol(WEBSOCKET, kept_alive.host, list(KEY.items()))
    late = protocol.text("late")
    kept_alive.send(protocol.request() + protocol.text("early") + late[:3])
    kept_alive.send(late[3:])
    kept_alive.received = kept_alive.read_until(b"\r\n\r\n") + kept_alive.received
    events: list[object] = []
    while len(events) < 3:
        kept_alive.received = kept_alive.received or kept_alive.connection.recv(65536)
        assert kept_alive.received
        events += protocol.receive_data(kept_alive.received)
        kept_alive.received = b""
    assert events[1:] == [("text", "early"), ("text", "late")]


UPGRADE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("GET /outcomes/echo HTTP/1.1", UPGRADE, 101),
        ("GET /outcomes/echo HTTP/1.1", ["Upgrade: h2c, WebSocket", *UPGRADE[:1], *UPGRADE[2:]], 101),
        ("GET /outcomes/echo HTTP/1.1", ["Upgrade: h2c", *UPGRADE], 101),
        ("GET /outcomes/echo HTTP/1.1", ["Connection: keep-alive", *UPGRADE], 101),
        ("GET /outcomes/echo HTTP/1.1", [*UPGRADE, "Connection: keep-alive"], 101),
        ("GET /outcomes/echo HTTP/1.0", UPGRADE, 400),
        ("GET /outcomes/echo HTTP/1.1", [*UPGRADE, "Host: other"], 400),
        ("GET /outcomes/echo HTTP/1.1", [*UPGRADE, "Content-Length: 5"], 400),
        ("GET /outcomes/echo HTTP/1.1", [*UPGRADE, "Transfer-Encoding: chunked"], 400),
        ("GET /outcomes/echo HTTP/1.1", [*UPGRADE[:2], UPGRADE[3]], 426),
        ("POST /outcomes/echo HTTP/1.1", UPGRADE, 405),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_an_upgrade_is_judged_the_same_on_a_fresh_connection_and_on_one_that_was_kept(
    server: LiveServer, line: str, fields: list[str], status: int, *, is_first: bool
) -> None:
    with Wire(server) as wire:
        if not is_first:
            wire.send(wire.request("GET /echo/ HTTP/1.1"))
            assert wire.response()[0] == 200
        wire.send(wire.request(line, *fields, *(f"{name}: {value}" for name, value in KEY.items())))
        assert wire.read_until(b"\r\n").split()[1] == b"%d" % status


@pytest.mark.parametrize(
    ("line", "fields"),
    [("GET /echo/ HTTP/1.1", ["Connection: Upgrade", "Upgrade: h2c"]), ("CONNECT /echo/ HTTP/1.1", [])],
)
@pytest.mark.parametrize("cut", [True, False], ids=["in pieces", "at once"])
def test_what_follows_another_upgrade_is_not_taken_for_a_request(
    kept_alive: Wire, line: str, fields: list[str], *, cut: bool
) -> None:
    answer = answer_to(kept_alive, kept_alive.request(line, *fields), SMUGGLED, cut=cut)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"smuggled" not in answer


SMUGGLED = b"GET /echo/?smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def answer_to(wire: Wire, *pieces: bytes, cut: bool) -> bytes:
    """Send pieces, each for itself or all at once, and return all that comes."""
    for piece in pieces if cut else [b"".join(pieces)]:
        wire.send(piece)
    answer = wire.received
    with contextlib.suppress(ConnectionResetError):
        while data := wire.connection.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (f"Content-Length: {len(SMUGGLED)}", SMUGGLED),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("cut", [True, False], ids=["in pieces", "at once"])
def test_a_body_behind_an_offer_of_another_protocol_is_read(
    fresh: Wire, framing: str, body: bytes, *, cut: bool
) -> None:
    head = fresh.request("POST /echo/ HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c", framing)
    answer = answer_to(fresh, head, body[:9], body[9:], SMUGGLED, cut=cut)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head.lower()
    assert json.loads(content)["body"] == SMUGGLED.decode()


# ── requests behind one that is being answered ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "behind",
    [b"GET /echo/ HTT", b"nonsense\r\n\r\n", b"GET /echo/ HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_SIZE],
    ids=["that never ends", "that is none", "that is too large"],
)
def test_an_answer_under_way_is_not_cut_off_by_a_request_behind_it(server: LiveServer, behind: bytes) -> None:
    """It takes longer than a head may; then the connection ends."""
    with Wire(server) as wire:
        wire.send(wire.request(f"GET /stream/4/?pause={0.6 * HANDSHAKE_TIMEOUT} HTTP/1.1"))
        wire.read_until(b"line 0\n")
        wire.send(behind)
        wire.read_until(b"line 3\n")
        assert wire.read_until(b"0\r\n\r\n")
        assert wire.connection.recv(1) == b""


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "end"])
def test_a_client_that_leaves_with_requests_behind_the_one_that_is_answered(
    server: LiveServer, is_reset: bool
) -> None:
    start = server.log.stat().st_size
    with Wire(server) as wire:
        stream = wire.request("GET /stream/30/?pause=0.01 HTTP/1.1")
        wire.send(stream + wire.request("GET /echo/ HTTP/1.1") * 3)
        wire.read_until(b"line 3\n")
        if is_reset:
            reset_at_close(wire)
    wait_for_a_stream(server)
    assert server.output(start) == ""


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["first", "later"])
def fresh(request: pytest.FixtureRequest, server: LiveServer) -> Iterator[Wire]:
    """A connection without and with a request before."""
    with Wire(server) as wire:
        if request.param == "later":
            wire.send(wire.request("GET /echo/ HTTP/1.1"))
            assert wire.response()[0] == 200
        yield wire


def ended(wire: Wire) -> bool:
    """Whether the connection has come to its end; bytes that the server did not take make it a reset."""
    try:
        return wire.connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_body_that_does_not_come(fresh: Wire) -> None:
    began = time.monotonic()
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Content-Length: 1000") + b"a" * 10)
    assert fresh.response()[0] == 408
    assert ended(fresh)
    assert 0.8 * HANDSHAKE_TIMEOUT < time.monotonic() - began < 5


@pytest.mark.parametrize("piece", [b"a", b"1\r\na\r\n"], ids=["plain", "chunked"])
def test_a_body_that_drips(fresh: Wire, piece: bytes) -> None:
    """Bytes that are too few do not extend the time."""
    length = "Content-Length: 1000" if piece == b"a" else "Transfer-Encoding: chunked"
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", length))
    fresh.connection.settimeout(0.05)
    began, answer = time.monotonic(), b""
    while not answer:
        assert time.monotonic() - began < 5
        fresh.send(piece)
        with contextlib.suppress(TimeoutError):
            answer = fresh.connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_in_chunks_that_come_slowly_but_come(fresh: Wire) -> None:
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked"))
    for _ in range(10):
        fresh.send(b"40\r\n" + b"a" * 64 + b"\r\n")
        time.sleep(0.2 * HANDSHAKE_TIMEOUT)
    fresh.send(b"0\r\n\r\n")
    status, _, body = fresh.response()
    assert (status, json.loads(body)["body"]) == (200, "a" * 640)


def test_a_view_is_told_that_the_body_does_not_come(server: LiveServer) -> None:
    """It holds nothing any more: the server need not wait for it when it stops."""
    start = server.log.stat().st_size
    with Wire(server) as wire:
        wire.send(wire.request("POST /upload/ HTTP/1.1", "Content-Length: 1000"))
        assert wire.response()[0] == 408
    assert "Traceback" not in server.output(start)


def test_what_is_no_chunk(fresh: Wire) -> None:
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked") + b"2\r\nab\r\nxyz\r\n")
    assert fresh.response()[0] == 400
    assert ended(fresh)


CHUNK = b"5\r\nhello\r\n"


@pytest.mark.parametrize("beginning", [b"0\r\nX: ", b"0\r\n", b"5;", CHUNK + b"5;x="])
def test_what_is_around_chunks_is_limited(fresh: Wire, beginning: bytes) -> None:
    """Trailers and extensions of chunks, together, as a head is."""
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked") + CHUNK)
    piece = b"X: y\r\n" * 135 if beginning == b"0\r\n" else b"a" * 800
    fresh.send(beginning)
    time.sleep(0.05)  # a read with bytes of the body is not counted
    for _ in range(21):
        fresh.send(piece)
    fresh.connection.settimeout(5)
    assert fresh.response()[0] == 431
    assert ended(fresh)


def test_trailers_do_not_end(fresh: Wire) -> None:
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked") + CHUNK + b"0\r\nX: y\r\n")
    assert fresh.response()[0] == 408


def test_trailers_do_not_pass_for_header_fields(fresh: Wire) -> None:
    """RFC 9110 section 6.5.1; what a proxy has removed from the head would come back by them."""
    trailers = b"0\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: sessionid=stolen\r\n\r\n"
    fresh.send(
        fresh.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked", "X-Kept: yes") + CHUNK + trailers
    )
    status, _, body = fresh.response()
    found = json.loads(body)
    assert (status, found["body"]) == (200, "hello")
    assert found["headers"]["X-Kept"] == "yes"
    assert not {"X-Forwarded-For", "Cookie"} & set(found["headers"])


def test_a_client_may_wait_to_be_asked_for_the_body(fresh: Wire) -> None:
    fresh.send(fresh.request("POST /echo/ HTTP/1.1", "Content-Length: 2", "Expect: 100-continue"))
    assert fresh.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    fresh.send(b"ok")
    assert json.loads(fresh.response()[2])["body"] == "ok"
