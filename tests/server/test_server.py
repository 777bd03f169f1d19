"""How a server stops: one worker, no reload."""

from __future__ import annotations

import signal
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.server.own_site import OwnSite, Running

STOP = [signal.SIGTERM, signal.SIGINT]


def closing(running: Running, path: str = "/ws/answer") -> tuple[int, str]:
    """Open a WebSocket, stop the server, and return how it closed."""
    with running.connect(path) as client:
        client.recv(timeout=10)
        running.send_signal()
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


@pytest.mark.parametrize("number", STOP, ids=lambda number: number.name)
def test_a_signal_closes_websockets_with_1012_and_ends_with_success(
    own_site: OwnSite, number: signal.Signals
) -> None:
    running = own_site.start("--noreload")
    clients = [running.connect() for _ in range(3)]
    for client in clients:
        assert str(client.recv(timeout=10)).startswith("first ")
    running.send_signal(number)
    for client in clients:
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert running.wait() == 0
    assert "Traceback" not in running.output()


def test_it_stops_quickly_when_idle_though_http_is_kept_alive(own_site: OwnSite) -> None:
    running = own_site.start("--noreload")
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", running.port)):  # and one that says nothing
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 3


def test_a_response_under_way_is_finished(own_site: OwnSite) -> None:
    running = own_site.start("--noreload")
    with ThreadPoolExecutor(1) as pool, urllib.request.urlopen(f"{running.url}slow/") as response:
        assert response.readline() == b"0\n"
        running.send_signal()
        assert pool.submit(response.read).result(10) == b"1\n2\n3\n4\n"
    assert running.wait() == 0


def test_new_connections_are_refused_while_it_stops(own_site: OwnSite) -> None:
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 10})
    with running.connect("/ws/stubborn") as client:
        client.recv(timeout=10)
        running.send_signal()
        running.until(lambda: _is_refused(running), "a refusal")
        running.send_signal()
        assert running.wait() == 0


def _is_refused(running: Running) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_a_handler_that_goes_on_is_cancelled_after_the_drain_timeout(own_site: OwnSite) -> None:
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 0.5})
    assert closing(running, "/ws/stubborn")[0] == 1012
    began = time.monotonic()
    assert running.wait() == 0
    assert 0.2 < time.monotonic() - began < 5
    assert "cancelled" in running.output()


@pytest.mark.parametrize("number", STOP, ids=lambda number: number.name)
@pytest.mark.parametrize("path", ["/ws/stubborn", "/ws/blocking"])
def test_a_second_signal_stops_at_once(own_site: OwnSite, number: signal.Signals, path: str) -> None:
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 60})
    with running.connect(path) as client:
        client.recv(timeout=10)
        running.send_signal(number)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=10)
        assert running.process.poll() is None
        began = time.monotonic()
        assert running.stop(number) == 0
        assert time.monotonic() - began < 5


def test_a_handler_that_refuses_to_go_does_not_keep_the_process(own_site: OwnSite) -> None:
    running = own_site.start(
        "--noreload", bolt={"DRAIN_TIMEOUT": 0.2, "CLOSE_TIMEOUT": 0.2, "DISCONNECT_GRACE": 0.2}
    )
    assert closing(running, "/ws/blocking")[0] == 1012
    assert running.wait() == 0


def test_an_unanswered_handshake_is_refused_with_503(own_site: OwnSite) -> None:
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 0.5})
    with ThreadPoolExecutor(1) as pool:
        url = running.url.replace("http", "ws", 1) + "ws/undecided"
        connecting = pool.submit(connect, url, proxy=None, open_timeout=20)
        running.until(lambda: _established(running) > 0, "the connection")
        running.send_signal()
        with pytest.raises(InvalidStatus) as caught:
            connecting.result(20)
    assert caught.value.response.status_code == 503
    assert caught.value.response.headers["Retry-After"] == "1"
    assert running.wait() == 0


def _established(running: Running) -> int:
    """Connections of the server's port, as the kernel counts them, whose bytes the server has taken."""
    wanted = f":{running.port:04X}"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        is_idle = fields[4] == "00000000:00000000"
        count += fields[1].endswith(wanted) and fields[3] == "01" and is_idle and fields[9] != "0"
    return count


def test_ipv6(own_site: OwnSite) -> None:
    if not socket.has_ipv6 or not _can_bind_ipv6():
        pytest.skip("no IPv6 here")
    with own_site.start("--noreload", address="[::1]:0") as running:
        assert running.url.startswith("http://[::1]:")
        assert running.ask()[0] == "first"
        with urllib.request.urlopen(running.url) as response:
            assert response.read().startswith(b"page ")


def _can_bind_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# ── handlers in threads ──────────────────────────────────────────────────────────────────────────────────

SYNC_API = """
import time
from django_bolt import BoltAPI, SyncWebSocket

sync_api = BoltAPI()


@sync_api.websocket("/ws/waiting")
def waiting(websocket: SyncWebSocket):
    websocket.accept()
    websocket.send_text("ready")
    try:
        websocket.receive()
    except Exception as error:
        print(f"ended by {type(error).__name__}: {error}", flush=True)
        raise


@sync_api.websocket("/ws/asleep")
def asleep(websocket: SyncWebSocket):
    websocket.accept()
    websocket.send_text("ready")
    time.sleep(60)
"""


def test_a_handler_that_waits_in_a_thread_ends_at_once(own_site: OwnSite) -> None:
    own_site.write("shop/api.py", SYNC_API)
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 30})
    began = time.monotonic()
    assert closing(running, "/ws/waiting")[0] == 1012
    assert running.wait() == 0
    assert time.monotonic() - began < 10
    assert "ended by WebSocketDisconnect: Connection closed with 1012" in running.output()


def test_a_handler_that_sleeps_in_a_thread_does_not_keep_the_process(own_site: OwnSite) -> None:
    own_site.write("shop/api.py", SYNC_API)
    running = own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 0.3})
    assert closing(running, "/ws/asleep")[0] == 1012
    began = time.monotonic()
    assert running.wait() == 0
    assert time.monotonic() - began < 10
    assert "is given up, but still runs in its thread" in running.output()
