"""The table *What happens when* of the documentation, row by row, on a live server and on a `TestClient`."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from django_bolt.server.server import BATCH
from tests.conformance.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_frame, frame
from tests.conformance.sites import TIMEOUT, Closed, LiveSite, Rejected, Session, Site, wait_until, with_bolt
from tests.live_server import LiveServers

ORDINARY_HEAD = (
    b"GET /outcomes/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

SHORT = {
    "ALLOWED_ORIGINS": ["https://app.example.com"],
    "MAX_HEAD_SIZE": 1024,
    "MAX_MESSAGE_SIZE": 1000,
    "HANDSHAKE_TIMEOUT": 0.3,
    "CLOSE_TIMEOUT": 0.3,
    "DISCONNECT_GRACE": 0.3,
}
"""Settings that are quick to reach. One dict, so that one live server has them all."""


def refusal_of(site: Site, path: str, **options: str) -> Rejected:
    """Connect and return the refusal."""
    with pytest.raises(Rejected) as refusal:
        site.connect(path, **options)  # type: ignore[arg-type]
    return refusal.value


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server ends the connection, by FIN or by RST."""
    received = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def is_quiet(site: Site) -> bool:
    """Whether nothing was logged as an error."""
    output = site.output()
    return "Traceback" not in output and "ERROR" not in output


HANDLERS = ["async def", "def"]

# ── unknown path · origin refused · too many connections · head too slow or too large ────────────────────


@pytest.mark.parametrize("path", ["/outcomes/unknown", "/", "/ws/echo/", "/ws/echo/more", "/WS/ECHO"])
def test_unknown_path_is_404(site: Site, path: str) -> None:
    refusal = refusal_of(site, path)
    assert (refusal.status, refusal.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_origin_refused_is_403(site: Site, origin: str) -> None:
    refusal = refusal_of(site, "/outcomes/echo", origin=origin)
    assert (refusal.status, refusal.json()) == (403, {"detail": "Forbidden"})
    assert site.events() == []
    assert origin in site.output()


def test_own_origin_is_let_in(site: Site) -> None:
    websocket = site.connect("/outcomes/echo", origin=site.origin)
    websocket.send("hello")
    assert websocket.receive() == "hello"


@with_bolt(**SHORT)
def test_allowed_origin_is_let_in(site: Site) -> None:
    websocket = site.connect("/outcomes/echo", origin="https://app.example.com")
    websocket.send("hello")
    assert websocket.receive() == "hello"
    assert refusal_of(site, "/outcomes/echo", origin="https://example.com").status == 403


@with_bolt(MAX_CONNECTIONS=2)
def test_too_many_connections_is_503(site: Site) -> None:
    first, _ = connect_when_there_is_room(site), connect_when_there_is_room(site)
    assert refusal_of(site, "/outcomes/echo").status == 503
    first.close()
    again = connect_when_there_is_room(site)
    again.send("hello")
    assert again.receive() == "hello"


def connect_when_there_is_room(site: Site) -> Session:
    """Connect; a connection that has ended counts until its TCP connection has."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return site.connect("/outcomes/echo")
        except Rejected as refusal:
            if refusal.status != 503 or time.monotonic() > deadline:
                raise


@with_bolt(**SHORT)
@pytest.mark.parametrize("head", [b"", b"GET /outcomes/echo HT", ORDINARY_HEAD], ids=["none", "line", "head"])
def test_head_too_slow_is_408(site: Site, head: bytes) -> None:
    connection = site.open_socket()
    connection.sendall(head)
    began = time.monotonic()
    answer = read_to_end(connection)
    # Nothing was asked on a connection that only opened, so that nothing need be answered.
    assert answer.startswith(b"HTTP/1.1 408 ") or (answer, head) == (b"", b"")
    assert 0.1 < time.monotonic() - began < 2


@with_bolt(**SHORT)
def test_head_in_drips_is_408(site: Site) -> None:
    connection = site.open_socket()
    connection.settimeout(0.02)
    answer = b""
    began = time.monotonic()
    for byte in ORDINARY_HEAD:
        try:
            connection.sendall(bytes([byte]))
            answer += connection.recv(1024)
        except TimeoutError:
            continue
        except ConnectionError:
            break
        if answer:
            break
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 2


@with_bolt(**SHORT)
def test_handshake_timeout_ends_with_the_head(site: Site) -> None:
    websocket = site.connect("/outcomes/echo")
    with pytest.raises(TimeoutError):
        websocket.receive(timeout=0.5)
    websocket.send("still here")
    assert websocket.receive() == "still here"


@with_bolt(**SHORT)
def test_head_too_large_is_431(site: Site) -> None:
    assert refusal_of(site, "/outcomes/echo", headers={"X-Large": "x" * 1024}).status == 431  # type: ignore[arg-type]
    assert refusal_of(site, "/outcomes/echo?" + "x" * 1024).status == 431
    assert site.events() == []


@with_bolt(**SHORT)
def test_endless_head_is_431(site: Site) -> None:
    connection = site.open_socket()
    connection.sendall(ORDINARY_HEAD + b"X-More: and more\r\n" * 60)
    assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


# ── host not allowed ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1.evil.example:80", b"local host"])
def test_host_not_allowed_is_400(site: Site, host: bytes) -> None:
    connection = site.open_socket()
    connection.sendall(ORDINARY_HEAD.replace(b"localhost", host) + b"\r\n")
    assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")
    assert site.events() == []


# ── authentication fails · a guard says no ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", ["", "?token=bad"])
def test_authentication_fails_with_401(site: Site, query: str) -> None:
    refusal = refusal_of(site, f"/outcomes/protected{query}")
    assert refusal.status == 401
    assert refusal.headers["www-authenticate"] == "Bearer"
    assert refusal.headers["content-type"] == "application/json"
    assert set(refusal.json()) == {"detail"}
    assert site.events() == []


def test_guard_says_no_with_403(site: Site) -> None:
    refusal = refusal_of(site, "/outcomes/guarded")
    assert refusal.status == 403
    assert refusal.headers["content-type"] == "application/json"
    assert refusal.json() == {"detail": "Not today."}
    assert site.events() == []


# ── a parameter is missing or does not convert ───────────────────────────────────────────────────────────


def test_parameters_are_422_naming_each(site: Site) -> None:
    refusal = refusal_of(site, "/outcomes/parameters/seven?verbose=perhaps")
    assert refusal.status == 422
    assert refusal.headers["content-type"] == "application/json"
    errors = {error["parameter"]: error for error in refusal.json()["errors"]}
    assert {name: error["in"] for name, error in errors.items()} == {
        "number": "path",
        "limit": "query",
        "verbose": "query",
    }
    assert errors["limit"]["message"] == "Missing"
    assert all(error["message"] for error in errors.values())
    assert site.events() == []


# ── before accept ────────────────────────────────────────────────────────────────────────────────────────


def test_close_before_accept_shows_code_and_reason(site: Site) -> None:
    websocket = site.connect("/outcomes/close-before-accept")
    assert websocket.wait_closed() == (4001, "come back later")
    site.wait_for_events("DISCONNECTED 4001 come back later")


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("text", b"No tea.", "text/plain; charset=utf-8"),
        ("bytes", b"\x00No tea.", None),
        ("json", b'{"error":"No tea."}', "application/json"),
    ],
)
def test_reject_is_that_response(site: Site, kind: str, body: bytes, content_type: str | None) -> None:
    refusal = refusal_of(site, f"/outcomes/reject/{kind}")
    assert (refusal.status, refusal.body) == (418, body)
    assert refusal.headers["x-pot"] == "short"
    assert refusal.headers["retry-after"] == "60"
    assert refusal.headers.get("content-type") == content_type
    assert is_quiet(site)


def test_http_exception_is_that_response(site: Site) -> None:
    refusal = refusal_of(site, "/outcomes/http-exception")
    assert (refusal.status, refusal.json()) == (402, {"detail": "Insert coin."})
    assert refusal.headers["x-price"] == "5"
    assert is_quiet(site)


def test_return_before_accept_is_403(site: Site) -> None:
    assert refusal_of(site, "/outcomes/returns-before-accept").status == 403
    assert is_quiet(site)


# ── exception before · after accept ──────────────────────────────────────────────────────────────────────


def wait_for_one_traceback(site: Site, last_line: str) -> None:
    """Wait for a traceback, and check that it came once."""
    site.wait_for_output(last_line)
    site.probe()
    assert site.output().count(last_line) == 1
    assert site.output().count("Traceback (most recent call last)") == 1


def test_exception_before_accept_is_500_without_detail(site: Site) -> None:
    refusal = refusal_of(site, "/outcomes/raises-before-accept")
    assert (refusal.status, refusal.json()) == (500, {"detail": "Internal Server Error"})
    wait_for_one_traceback(site, f"LookupError: secret of {site.key}")


def test_exception_after_accept_is_1011_without_detail(site: Site) -> None:
    assert site.connect("/outcomes/raises").wait_closed() == (1011, "")
    wait_for_one_traceback(site, f"LookupError: secret of {site.key}")


def test_http_exception_after_accept_is_1011_without_detail(site: Site) -> None:
    assert site.connect("/outcomes/raises-http-exception").wait_closed() == (1011, "")
    wait_for_one_traceback(site, f"secret of {site.key}")


# ── WebSocketException · normal return ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["before", "after"])
def test_websocket_exception_closes_with_its_code(site: Site, when: str) -> None:
    websocket = site.connect(f"/outcomes/websocket-exception/{when}")
    assert websocket.wait_closed() == (4100, "as agreed")
    assert is_quiet(site)


def test_return_after_accept_is_1000(site: Site) -> None:
    websocket = site.connect("/outcomes/returns")
    assert websocket.receive() == "bye"
    assert websocket.wait_closed() == (1000, "")
    assert is_quiet(site)


# ── the client leaves ────────────────────────────────────────────────────────────────────────────────────

AWAITED = [
    "receive",
    "receive_text",
    "receive_bytes",
    "receive_json",
    "async-for",
    "iter_text",
    "iter_bytes",
    "iter_json",
]


@pytest.mark.parametrize("method", AWAITED)
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going home"), (4321, "grüße")])
def test_client_closes(site: Site, method: str, code: int, reason: str) -> None:
    websocket = site.connect(f"/outcomes/awaits/{method}")
    assert websocket.receive() == "ready"
    websocket.close(code, reason)
    assert websocket.close_code == code
    site.wait_for_events("began", f"disconnected {code} {reason!r}")
    assert is_quiet(site)


@pytest.mark.parametrize("method", AWAITED)
def test_client_closes_without_a_code(site: Site, method: str) -> None:
    websocket = site.connect(f"/outcomes/awaits/{method}")
    assert websocket.receive() == "ready"
    websocket.send_raw(frame(CLOSE))
    site.wait_for_events("began", "disconnected 1005 ''")


@pytest.mark.parametrize("method", AWAITED)
def test_client_vanishes(site: Site, method: str) -> None:
    websocket = site.connect(f"/outcomes/awaits/{method}")
    assert websocket.receive() == "ready"
    websocket.vanish()
    site.wait_for_events("began", "disconnected 1006 ''")
    assert is_quiet(site)


def test_client_leaves_after_messages_that_are_still_received(site: Site) -> None:
    websocket = site.connect("/ws/receive/text")
    websocket.send_raw(b"".join(frame(TEXT, b"message %d" % i) for i in range(50)) + close_frame(1000))
    site.wait_for_output("Received: message 49")
    assert site.output().count("Received: message") == 49


@pytest.mark.parametrize("leave", ["close", "vanish"])
def test_client_leaves_before_accept(site: Site, leave: str) -> None:
    connection = site.open_socket()
    head = ORDINARY_HEAD.replace(b"/echo", b"/waits-before-accept") + f"X-Test: {site.key}\r\n\r\n".encode()
    connection.sendall(head)
    site.wait_for_events("waits")
    if leave == "close":
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.close()
    site.wait_for_events("waits", "began", "disconnected 1006 ''")
    assert is_quiet(site)


# ── a handler that awaits something else outlives its client ─────────────────────────────────────────────


@pytest.mark.parametrize("leave", ["close", "vanish"])
def test_next_send_raises(site: Site, leave: str) -> None:
    websocket = site.connect("/outcomes/awaits-something-else")
    assert websocket.receive() == "ready"
    getattr(websocket, leave)()
    code = 1000 if leave == "close" else 1006
    site.wait_for_events("began", f"disconnected {code} ''")
    assert is_quiet(site)


@with_bolt(**SHORT)
@pytest.mark.parametrize("leave", ["close", "vanish"])
def test_cancelled_after_grace(site: Site, leave: str) -> None:
    websocket = site.connect("/outcomes/sleeps")
    assert websocket.receive() == "ready"
    left = time.monotonic()
    getattr(websocket, leave)()
    assert site.events() == ["began"]
    site.wait_for_events("began", "raised CancelledError")
    assert 0.2 < time.monotonic() - left < 2
    assert is_quiet(site)


@with_bolt(**SHORT)
def test_not_cancelled_while_the_client_is_here(site: Site) -> None:
    websocket = site.connect("/outcomes/sleeps")
    assert websocket.receive() == "ready"
    with pytest.raises(TimeoutError):
        websocket.receive(timeout=0.6)
    assert site.events() == ["began"]


# ── text where binary was asked for, or the reverse · invalid JSON or type ───────────────────────────────


@pytest.mark.parametrize(("method", "message"), [("receive_text", b"bytes"), ("receive_bytes", "text")])
def test_unsupported_data_is_1003(site: Site, method: str, message: str | bytes) -> None:
    websocket = site.connect(f"/outcomes/wants/{method}")
    websocket.send(message)
    code, _ = websocket.wait_closed()
    assert code == 1003
    site.wait_for_events("began", "raised UnsupportedData")
    assert "Traceback" not in site.output()


@pytest.mark.parametrize("message", ["{", "", "{'a': 1}", b"\xff\xfe", "[" * 100_000])
def test_invalid_json_is_1007(site: Site, message: str | bytes) -> None:
    websocket = site.connect("/outcomes/wants/receive_json")
    websocket.send('{"fine": true}')
    assert websocket.receive() == "got {'fine': True}"
    websocket.send(message)
    code, reason = websocket.wait_closed()
    assert (code, reason) == (1007, "invalid message")
    site.wait_for_events("began", "raised InvalidMessage")
    assert "Traceback" not in site.output()


def test_invalid_type_is_1007(site: Site) -> None:
    websocket = site.connect("/outcomes/wants-order")
    websocket.send('{"item": "tea", "count": 2}')
    assert websocket.receive() == "2 x tea"
    websocket.send('{"item": "tea", "count": "many"}')
    assert websocket.wait_closed() == (1007, "invalid message")
    site.wait_for_events("began", "raised InvalidMessage")


@pytest.mark.parametrize(
    ("method", "bad", "answer", "good"),
    [
        ("receive_text", b"bytes", {"expected": "text", "got": "binary"}, "text"),
        ("receive_bytes", "text", {"expected": "binary", "got": "text"}, b"bytes"),
        ("receive_json", "{", {"invalid": "$"}, '{"item": "tea", "count": 1}'),
        ("receive_json", '{"item": "tea", "count": []}', {"invalid": "$.count"}, '{"item":"a","count":1}'),
    ],
)
def test_caught_and_going_on(
    site: Site, method: str, bad: str | bytes, answer: dict[str, str], good: str | bytes
) -> None:
    websocket = site.connect(f"/outcomes/forgives/{method}")
    for _ in range(2):
        websocket.send(bad)
        assert websocket.receive_json() == answer
        websocket.send(good)
        assert str(websocket.receive()).startswith("got ")
    websocket.close()
    assert websocket.close_code == 1000


# ── the peer breaks the protocol ─────────────────────────────────────────────────────────────────────────

VIOLATIONS = {
    "not masked (5.1)": (frame(TEXT, b"x", masked=False), 1002),
    "reserved bit 1 (5.2)": (frame(TEXT, b"x", rsv=4), 1002),
    "reserved bit 2 (5.2)": (frame(TEXT, b"x", rsv=2), 1002),
    "reserved bit 3 (5.2)": (frame(TEXT, b"x", rsv=1), 1002),
    "reserved data opcode (5.2)": (frame(0x3), 1002),
    "reserved control opcode (5.2)": (frame(0xB), 1002),
    "fragmented control frame (5.5)": (frame(PING, final=False), 1002),
    "long control frame (5.5)": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing (5.4)": (frame(CONTINUATION, b"x"), 1002),
    "message inside of a message (5.4)": (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
    "Close with one byte (5.5.1)": (frame(CLOSE, b"\x03"), 1002),
    "Close with 999 (7.4.2)": (close_frame(999), 1002),
    "Close with 1005 (7.4.1)": (close_frame(1005), 1002),
    "Close with 1006 (7.4.1)": (close_frame(1006), 1002),
    "Close with 2999 (7.4.2)": (close_frame(2999), 1002),
    "reason not UTF-8 (5.5.1)": (close_frame(1000, b"\xff"), 1007),
    "text not UTF-8 (8.1)": (frame(TEXT, b"\xce\xba\xff"), 1007),
    "text ends inside a character (8.1)": (frame(TEXT, b"\xce"), 1007),
    "fragments not UTF-8 (8.1)": (frame(TEXT, b"\xce", final=False) + frame(CONTINUATION, b"\xce"), 1007),
    "text of surrogates (8.1)": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "too big (10.4)": (frame(BINARY, b"x" * 1001), 1009),
    "too big in fragments (10.4)": (
        frame(BINARY, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 401),
        1009,
    ),
    "too big to be sent (10.4)": (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
}


@with_bolt(**SHORT)
@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_peer_breaks_the_protocol(site: Site, data: bytes, code: int) -> None:
    websocket = site.connect("/outcomes/echo")
    websocket.send("before")
    assert websocket.receive() == "before"
    websocket.send_raw(data)
    assert websocket.wait_closed()[0] == code
    wait_until(site.events, lambda events: len(events) == 2)
    assert site.events()[1].startswith(f"disconnected {code} ")
    assert is_quiet(site)


@with_bolt(**SHORT)
def test_largest_message_is_no_violation(site: Site) -> None:
    websocket = site.connect("/outcomes/echo")
    websocket.send(b"x" * 1000)
    assert websocket.receive() == b"x" * 1000
    websocket.send_raw(frame(TEXT, b"x" * 500, final=False) + frame(PING) + frame(CONTINUATION, b"y" * 500))
    assert websocket.receive() == "x" * 500 + "y" * 500


@with_bolt(**SHORT)
def test_violation_ends_tcp_though_the_peer_stays(site: Site) -> None:
    connection = site.open_socket()
    connection.sendall(ORDINARY_HEAD + f"X-Test: {site.key}\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    began = time.monotonic()
    connection.sendall(frame(0x3))
    assert read_to_end(connection).startswith(b"\x88")
    assert time.monotonic() - began < 2


@with_bolt(**SHORT)
def test_closing_handshake_ends_tcp_though_the_peer_does_not_answer(site: Site) -> None:
    connection = site.open_socket()
    head = ORDINARY_HEAD.replace(b"/echo", b"/returns") + f"X-Test: {site.key}\r\n\r\n".encode()
    connection.sendall(head)
    began = time.monotonic()
    assert read_to_end(connection).endswith(b"\x88\x02\x03\xe8")
    assert 0.2 < time.monotonic() - began < 2


# ── SIGTERM ──────────────────────────────────────────────────────────────────────────────────────────────


def test_sigterm_closes_with_1012_and_exits_with_0(live_servers: LiveServers) -> None:
    server = live_servers.start()
    site = LiveSite(server)
    websockets = [site.connect("/outcomes/cleans-up"), site.connect("/ws/echo"), site.connect("/ws/chat")]
    assert websockets[0].receive() == "ready"
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert [websocket.wait_closed()[0] for websocket in websockets] == [1012] * 3
    assert server.wait() == 0
    assert time.monotonic() - began < 3
    assert "Cleaned up after 1012" in server.output()
    assert "Traceback" not in server.output()
    with pytest.raises(ConnectionRefusedError):
        site.open_socket()
    site.close()


def test_sigterm_cancels_handlers_after_the_drain_timeout(live_servers: LiveServers) -> None:
    server = live_servers.start(bolt={"DRAIN_TIMEOUT": 0.3, "CLOSE_TIMEOUT": 0.3})
    site = LiveSite(server)
    websocket = site.connect("/outcomes/sleeps")
    assert websocket.receive() == "ready"
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert websocket.wait_closed()[0] == 1012
    assert server.wait() == 0
    assert 0.2 < time.monotonic() - began < 4
    assert "Traceback" not in server.output()
    site.close()


async def test_sigterm_closes_many_in_batches(live_servers: LiveServers) -> None:
    server = live_servers.start()
    url = f"ws://{server.host}/ws/echo"
    websockets = [await open_websocket(url, proxy=None, ping_interval=None) for _ in range(BATCH + 50)]
    server.send_signal(signal.SIGTERM)

    async def close_code_of(websocket: object) -> int | None:
        with pytest.raises(ConnectionClosed):
            await websocket.recv()  # type: ignore[attr-defined]
        return websocket.close_code  # type: ignore[attr-defined, no-any-return]

    codes = await asyncio.wait_for(asyncio.gather(*map(close_code_of, websockets)), TIMEOUT)
    assert codes == [1012] * len(websockets)
    assert await asyncio.to_thread(server.wait) == 0


def test_closed_connections_say_so_again(site: Site) -> None:
    websocket = site.connect("/outcomes/returns")
    websocket.wait_closed()
    for _ in range(2):
        with pytest.raises(Closed):
            websocket.receive()
    with pytest.raises(Closed):
        websocket.send("too late")
