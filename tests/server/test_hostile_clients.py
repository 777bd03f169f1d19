"""Clients that are at odds with a server's stop, and with the limits of kept-alive HTTP connections."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from django_bolt import _core
from tests.live_server import LiveServer, LiveServers
from tests.server.test_http import Wire

HANDSHAKE_TIMEOUT = 1
MAX_HEAD_SIZE = 16_384


@pytest.fixture(scope="module")
def server(live_servers: LiveServers) -> LiveServer:
    """A server that gives a head a second."""
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


# ── the server's stop ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_late", [False, True], ids=["at the signal", "when others were told"])
def test_a_head_that_completes_after_the_signal(live_servers: LiveServers, is_late: bool) -> None:
    """It gets 503, and the process ends all the same."""
    server = live_servers.start(bolt={"DRAIN_TIMEOUT": 2, "CLOSE_TIMEOUT": 2})
    with Wire(server) as stubborn, Wire(server) as late:
        stubborn.upgrade()
        request = _core.ClientProtocol("/outcomes/echo", server.host).request()
        late.send(request[:10])
        time.sleep(0.05)  # or the connection might not be accepted by then
        server.terminate()
        began = time.monotonic()
        assert stubborn.read(4)[2:] == (1012).to_bytes(2)  # Close, which stays without an answer
        if is_late:
            time.sleep(0.5)
        late.send(request[10:])
        assert late.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")
        assert server.wait() == 0
    assert time.monotonic() - began < 8
    assert "Traceback" not in server.output()


def test_an_idle_connection_does_not_keep_a_stopping_server(live_servers: LiveServers) -> None:
    server = live_servers.start()
    with Wire(server) as wire:  # It listens before it minds signals.
        wire.send(wire.request("GET /echo/ HTTP/1.1"))
        assert wire.response()[0] == 200
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    silent[0].send(b"GET /")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    for connection in silent:
        connection.close()
