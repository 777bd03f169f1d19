"""Plain HTTP on the port of the WebSockets, by raw bytes where it matters what the wire carries."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from typing import Any

import pytest
from websockets.sync.client import connect

from django_bolt import _core
from tests.live_server import LiveServer, LiveServers

WEBSOCKET = "/outcomes/echo"
KEY = {"X-Test": "test_http"}


@pytest.fixture(scope="module")
def server(live_servers: LiveServers) -> LiveServer:
    """The test project as in development."""
    return live_servers.get(debug=True)


class Wire:
    """A connection, and bytes."""

    def __init__(self, server: LiveServer) -> None:
        self.host = server.host
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.received = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def request(self, line: str, *fields: str) -> bytes:
        return "\r\n".join([line, f"Host: {self.host}", *fields, "", ""]).encode()

    def read_until(self, end: bytes) -> bytes:
        """Return what comes up to and with some bytes."""
        while end not in self.received:
            data = self.connection.recv(65536)
            assert data, f"the end came before {end!r}: {self.received!r}"
            self.received += data
        head, _, self.received = self.received.partition(end)
        return head + end

    def read(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self.received) < size:
            data = self.connection.recv(65536)
            assert data, f"the end came after {self.received!r}"
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, header fields and body of the next response."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), fields, self.read(int(fields.get("content-length", "0")))

    def upgrade(self) -> _core.ClientProtocol:
        """Upgrade to a WebSocket."""
        protocol = _core.ClientProtocol(WEBSOCKET, self.host, list(KEY.items()))
        self.send(protocol.request())
        ((kind, *_),) = protocol.receive_data(self.read_until(b"\r\n\r\n"))
        assert kind == "accepted"
        return protocol

    def exchange(self, protocol: _core.ClientProtocol, text: str) -> None:
        """Send a message and see it come back."""
        self.send(protocol.text(text))
        events: list[Any] = []
        while not events:
            if not self.received:
                self.received = self.connection.recv(65536)
                assert self.received
            events, self.received = protocol.receive_data(self.received), b""
        assert events == [("text", text)]


@pytest.fixture
def wire(server: LiveServer) -> Iterator[Wire]:
    with Wire(server) as wire:
        yield wire


# ── what a site does ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_and_its_stylesheet(wire: Wire) -> None:
    wire.send(wire.request("GET / HTTP/1.1"))
    status, fields, body = wire.response()
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'href="/static/project/page.css"' in body
    wire.send(wire.request("GET /static/project/page.css HTTP/1.1"))
    status, fields, body = wire.response()
    assert (status, fields["content-type"].split(";")[0]) == (200, "text/css")
    assert body


def test_head(wire: Wire) -> None:
    wire.send(wire.request("HEAD / HTTP/1.1") + wire.request("GET / HTTP/1.1"))
    head = wire.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) > 0
    assert wire.response()[0] == 200  # directly behind it: no body


def test_404(wire: Wire) -> None:
    wire.send(wire.request("GET /nowhere/ HTTP/1.1"))
    assert wire.response()[0] == 404


def test_the_admin_answers(wire: Wire) -> None:
    wire.send(wire.request("GET /admin/login/ HTTP/1.1"))
    status, fields, body = wire.response()
    assert status == 200
    assert b"csrfmiddlewaretoken" in body
    assert "csrftoken=" in fields["set-cookie"]


def test_keep_alive(wire: Wire) -> None:
    for number in range(5):
        wire.send(wire.request(f"GET /echo/?number={number} HTTP/1.1"))
        status, _, body = wire.response()
        assert (status, json.loads(body)["query"]) == (200, {"number": str(number)})


def test_connection_close(wire: Wire) -> None:
    wire.send(wire.request("GET /echo/ HTTP/1.1", "Connection: close"))
    assert wire.response()[0] == 200
    assert wire.connection.recv(1) == b""


def test_http_1_0(wire: Wire) -> None:
    wire.send(wire.request("GET /echo/ HTTP/1.0"))
    assert wire.response()[0] == 200
    assert wire.connection.recv(1) == b""


def test_pipelined_requests(wire: Wire) -> None:
    wire.send(b"".join(wire.request(f"GET /echo/?number={number} HTTP/1.1") for number in range(10)))
    numbers = [json.loads(wire.response()[2])["query"]["number"] for _ in range(10)]
    assert numbers == list(map(str, range(10)))


def test_the_client_s_address_is_known(wire: Wire) -> None:
    wire.send(wire.request("GET /echo/ HTTP/1.1"))
    answer = json.loads(wire.response()[2])
    assert (answer["client"], answer["host"]) == ("127.0.0.1", wire.host)


def test_a_request_byte_by_byte(wire: Wire) -> None:
    request = wire.request("POST /echo/?slow=1 HTTP/1.1", "Content-Length: 5") + b"hello"
    for byte in request:
        wire.send(bytes([byte]))
    status, _, body = wire.response()
    assert status == 200
    assert json.loads(body)["body"] == "hello"
    assert json.loads(body)["query"] == {"slow": "1"}


def test_bytes_behind_the_head_are_not_lost(wire: Wire) -> None:
    """Head and body in one piece, a body in two, and a body that looks like a request."""
    body = b"GET /inside/ HTTP/1.1\r\nHost: x\r\n\r\n"
    head = wire.request("POST /echo/ HTTP/1.1", f"Content-Length: {len(body)}")
    wire.send(head + body)
    assert json.loads(wire.response()[2])["body"] == body.decode()
    wire.send(head + body[:7])
    time.sleep(0.02)
    wire.send(body[7:])
    assert json.loads(wire.response()[2])["body"] == body.decode()


@pytest.mark.parametrize("cut", [1, 5, 16, 30])
def test_a_request_in_two_pieces(wire: Wire, cut: int) -> None:
    request = wire.request("GET /echo/?a=b HTTP/1.1")
    wire.send(request[:cut])
    time.sleep(0.01)
    wire.send(request[cut:])
    assert json.loads(wire.response()[2])["query"] == {"a": "b"}


def test_expect_100_continue(wire: Wire) -> None:
    wire.send(wire.request("POST /echo/ HTTP/1.1", "Content-Length: 2", "Expect: 100-continue"))
    assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    wire.send(b"ok")
    assert json.loads(wire.response()[2])["body"] == "ok"


def test_a_chunked_upload(wire: Wire) -> None:
    wire.send(wire.request("POST /echo/ HTTP/1.1", "Transfer-Encoding: chunked"))
    for piece in (b"5\r\nhello\r\n", b"1\r\n!\r\n", b"0\r\n\r\n"):
        wire.send(piece)
    assert json.loads(wire.response()[2])["body"] == "hello!"


def test_an_upload_of_5_mb(server: LiveServer) -> None:
    data = bytes(range(256)) * (5 * 1024 * 1024 // 256)
    boundary = "a-boundary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body += data + f"\r\n--{boundary}--\r\n".encode()
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    client.request("POST", "/upload/", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with client.getresponse() as response:
        answer = json.load(response)
    client.close()
    assert answer == {"name": "big.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_streaming_response_arrives_piece_by_piece(wire: Wire) -> None:
    wire.send(wire.request("GET /stream/3/?pause=0.3 HTTP/1.1"))
    began = time.monotonic()
    wire.read_until(b"line 0\n")
    first = time.monotonic() - began
    wire.read_until(b"line 2\n")
    assert time.monotonic() - began - first > 0.4


def test_a_long_streaming_response(server: LiveServer) -> None:
    with urllib.request.urlopen(f"{server.url}/stream/5000/") as response:
        lines = response.read().decode().splitlines()
    assert lines == [f"line {number}" for number in range(5000)]


def test_a_client_that_leaves_in_a_streaming_response(server: LiveServer) -> None:
    for _ in range(5):
        with Wire(server) as wire:
            wire.send(wire.request("GET /stream/1000/?pause=0.01 HTTP/1.1"))
            wire.read_until(b"line 0\n")
    with Wire(server) as wire:
        wire.send(wire.request("GET /echo/ HTTP/1.1"))
        assert wire.response()[0] == 200


def test_sessions_and_cookies(server: LiveServer) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    visits = [json.load(opener.open(f"{server.url}/counter/"))["visits"] for _ in range(3)]
    assert visits == [1, 2, 3]


def test_static_files_are_not_served_without_debug(live_servers: LiveServers) -> None:
    with Wire(live_servers.get()) as wire:
        wire.send(wire.request("GET /static/project/page.css HTTP/1.1"))
        assert wire.response()[0] == 404


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"nonsense\r\n\r\n", b"GET /\r\n\r\n"]
)
def test_what_is_no_http(wire: Wire, data: bytes) -> None:
    wire.send(data)
    assert wire.response()[0] == 400
    assert wire.connection.recv(1) == b""


# ── the two on one connection ─────────────────────────────────────────────────────────────────────────────────────


def test_a_websocket_on_a_fresh_connection(wire: Wire) -> None:
    wire.exchange(wire.upgrade(), "hello")


@pytest.mark.parametrize("requests", [1, 3])
def test_a_websocket_on_a_connection_that_http_kept_alive(wire: Wire, requests: int) -> None:
    for _ in range(requests):
        wire.send(wire.request("GET /echo/ HTTP/1.1"))
        assert wire.response()[0] == 200
    protocol = wire.upgrade()
    for number in range(100):
        wire.exchange(protocol, f"{number}" * 100)
    wire.exchange(protocol, "é" * 100_000)
    wire.send(protocol.close(4000))
    assert protocol.receive_data(wire.connection.recv(100)) == [("close", 4000, "")]
    assert wire.connection.recv(1) == b""


def test_a_kept_alive_connection_that_upgrades_is_known_by_its_address(server: LiveServer) -> None:
    """And many of them at once leave neither descriptors nor connections behind."""
    for _ in range(20):
        with Wire(server) as wire:
            wire.send(wire.request("GET /echo/ HTTP/1.1"))
            wire.response()
            wire.exchange(wire.upgrade(), "hello")


def test_a_refused_upgrade_on_a_kept_alive_connection(wire: Wire) -> None:
    wire.send(wire.request("GET /echo/ HTTP/1.1"))
    wire.response()
    wire.send(_core.ClientProtocol("/nowhere", wire.host).request())
    status, _, body = wire.response()
    assert (status, json.loads(body)) == (404, {"detail": "Not Found"})


def test_an_upgrade_to_something_else_is_plain_http(wire: Wire) -> None:
    wire.send(wire.request("GET /echo/ HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
    status, _, body = wire.response()
    assert (status, json.loads(body)["path"]) == (200, "/echo/")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(server: LiveServer) -> None:
    fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "X-Test: curl",
    ]
    command = ["curl", "--http1.1", "--silent", "--include", "--noproxy", "*", "--max-time", "0.5"]
    command += [argument for field in fields for argument in ("--header", field)]
    done = subprocess.run([*command, server.url + WEBSOCKET], capture_output=True, timeout=10, check=False)
    assert done.stdout.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in done.stdout
    done = subprocess.run([*command[:-1], "5", server.url], capture_output=True, timeout=10, check=False)
    assert done.stdout.startswith(b"HTTP/1.1 ")


def test_50_requests_and_50_websockets_at_once(server: LiveServer) -> None:
    def ask(number: int) -> str:
        url = f"{server.url}/echo/?number={number}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return str(json.load(response)["query"]["number"])

    def exchange(number: int) -> str:
        url = f"ws://{server.host}{WEBSOCKET}"
        with connect(url, additional_headers=KEY, proxy=None, open_timeout=30) as client:
            for _ in range(5):
                client.send(str(number))
                answer = client.recv(timeout=30)
        return str(answer)

    with ThreadPoolExecutor(100) as pool:
        pages = pool.map(ask, range(50))
        answers = pool.map(exchange, range(50))
        numbers = list(map(str, range(50)))
        assert list(pages) == numbers
        assert list(answers) == numbers


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_never_reaches_the_log(server: LiveServer) -> None:
    before = len(server.log.read_bytes())
    for target in ("/echo/?token=SECRET-1", "/nowhere/?token=SECRET-1&page=2", "/echo/?%74oken=SECRET-1"):
        with Wire(server) as wire:
            wire.send(wire.request(f"GET {target} HTTP/1.1"))
            wire.response()
    for target in (
        f"{WEBSOCKET}?token=SECRET-1",
        "/nowhere?token=SECRET-1",
        "/outcomes/protected?token=SECRET-1",
    ):
        with Wire(server) as wire:
            wire.send(_core.ClientProtocol(target, wire.host, list(KEY.items())).request())
            wire.read_until(b"\r\n\r\n")
    output = server.output(before)
    assert "GET /echo/?token=…" in output
    assert "/nowhere/?token=…&page=2" in output
    assert "SECRET-1" not in output


def test_requests_are_logged_while_debug_is_on(server: LiveServer, live_servers: LiveServers) -> None:
    for either, expected in ((server, True), (live_servers.get(), False)):
        with Wire(either) as wire:
            wire.send(wire.request("GET /echo/?logged=1 HTTP/1.1"))
            wire.response()
        assert ("GET /echo/?logged=1" in either.output()) is expected
