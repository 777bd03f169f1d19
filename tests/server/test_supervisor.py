"""Several workers, and reloading."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.server.own_site import API, OwnSite, Running, is_alive

SECOND = API.replace('"first"', '"second"')
THIRD = API.replace('"first"', '"third"')


def close_code(client: ClientConnection) -> int:
    """Wait for the end of a connection."""
    try:
        while True:
            client.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def connect_to_each(running: Running, count: int) -> dict[int, ClientConnection]:
    """Return one connection to each of so many workers."""
    clients: dict[int, ClientConnection] = {}

    def has_all() -> bool:
        client = running.connect()
        pid = int(str(client.recv(timeout=20)).split()[1])
        if pid in clients:
            client.close()
        else:
            clients[pid] = client
        return len(clients) == count

    running.until(has_all, f"{count} workers")
    return clients


# ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_workers_share_the_port_and_a_dead_one_is_replaced(own_site: OwnSite) -> None:
    with own_site.start("--workers", "2", "--noreload") as running:
        assert "(2 workers)" in running.banner
        clients = connect_to_each(running, 2)
        assert running.process.pid not in clients
        victim, sibling = clients
        os.kill(victim, signal.SIGKILL)
        assert close_code(clients[victim]) == 1006
        clients[sibling].send("undisturbed")
        assert clients[sibling].recv(timeout=10) == "undisturbed"
        running.until(
            lambda: f"Worker {victim} ended with -9; starting another." in running.output(), "the warning"
        )
        pids = set(connect_to_each(running, 2))
        assert sibling in pids
        assert victim not in pids
        clients[sibling].send("still undisturbed")
        assert clients[sibling].recv(timeout=10) == "still undisturbed"
        clients[sibling].close()
        pages = {urllib.request.urlopen(running.url).read() for _ in range(40)}
        assert pages == {f"page {pid}".encode() for pid in pids}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_every_worker(own_site: OwnSite, number: signal.Signals) -> None:
    running = own_site.start("--workers", "2", "--noreload")
    clients = connect_to_each(running, 2)
    running.send_signal(number)
    assert [close_code(client) for client in clients.values()] == [1012, 1012]
    assert running.wait() == 0
    assert not any(map(is_alive, clients))
    assert "Traceback" not in running.output()


def test_a_second_signal_stops_every_worker_at_once(own_site: OwnSite) -> None:
    running = own_site.start("--workers", "2", "--noreload", bolt={"DRAIN_TIMEOUT": 60})
    with running.connect("/ws/stubborn") as client:
        client.recv(timeout=10)
        running.send_signal()
        assert close_code(client) == 1012
        assert running.process.poll() is None
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5


def test_workers_do_not_outlive_a_parent_that_is_killed(own_site: OwnSite) -> None:
    running = own_site.start("--workers", "2", "--noreload")
    clients = connect_to_each(running, 2)
    running.kill()
    assert [close_code(client) for client in clients.values()] == [1012, 1012]
    _until(lambda: not any(map(is_alive, clients)))


def test_a_worker_that_cannot_start_ends_all(own_site: OwnSite) -> None:
    """It fails only in the worker: what the checks find is said by the command itself."""
    own_site.write(
        "own_site/api.py", f"import os\nassert 'RUN_MAIN' not in os.environ, 'not in a worker'\n{API}"
    )
    running = own_site.start("--workers", "2", "--noreload")
    assert running.wait() == 3
    assert "not in a worker" in running.output()
    assert "could not start; stopping." in running.output()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ── reloading ─────────────────────────────────────────────────────────────────────────────────────────────────────


def until_it_answers(running: Running, answer: str) -> int:
    """Wait until the code that is served gives an answer; returns the process."""

    def ask() -> int:
        try:
            given, pid = running.ask()
        except ConnectionClosed:  # by the restart
            return 0
        return pid if given == answer else 0

    return int(running.until(ask, f"the answer {answer!r}"))


def test_a_change_reloads(own_site: OwnSite) -> None:
    with own_site.start("--reload") as running:
        assert "reloading on changes" in running.banner
        with running.connect() as client:
            answer, pid = str(client.recv(timeout=20)).split()
            assert answer == "first"
            own_site.write("own_site/api.py", SECOND)
            assert close_code(client) == 1012
        second = until_it_answers(running, "second")
        assert second not in (int(pid), running.process.pid)
        assert not is_alive(int(pid))
        # An app's module, too, and one that was not there before.
        own_site.write("shop/prices.py", "FREE = 0\n")
        own_site.write("own_site/api.py", THIRD)
        third = until_it_answers(running, "third")
    assert not is_alive(third)
    assert "Traceback" not in running.output()


def test_an_error_in_the_source_does_not_end_the_reloader(own_site: OwnSite) -> None:
    with own_site.start("--reload") as running:
        assert running.ask()[0] == "first"
        own_site.write("own_site/api.py", "this is no Python\n")
        running.until(lambda: "SyntaxError" in running.output(), "the error")
        own_site.write("own_site/api.py", SECOND)
        until_it_answers(running, "second")


def test_an_error_at_the_start_of_the_worker_waits_for_a_change(own_site: OwnSite) -> None:
    broken = f"import os\nassert 'RUN_MAIN' not in os.environ, 'not in a worker'\n{API}"
    own_site.write("own_site/api.py", broken)
    with own_site.start("--reload") as running:
        running.until(lambda: "not in a worker" in running.output(), "the error")
        own_site.write("own_site/api.py", SECOND)
        until_it_answers(running, "second")


def test_the_templates_and_settings_are_watched_too(own_site: OwnSite) -> None:
    with own_site.start("--reload") as running:
        pid = running.ask()[1]
        settings = (own_site.directory / "own_site/settings.py").read_text()
        own_site.write(
            "own_site/settings.py", f"{settings}\nBOLT = {{'API': 'shop.api', 'DRAIN_TIMEOUT': 0}}\n"
        )
        running.until(lambda: not is_alive(pid), "the restart")
        with running.connect("/ws/stubborn") as client:
            assert client.recv(timeout=20) == "ready"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_the_reloader_and_its_worker(own_site: OwnSite, number: signal.Signals) -> None:
    running = own_site.start("--reload")
    with running.connect() as client:
        pid = int(str(client.recv(timeout=20)).split()[1])
        running.send_signal(number)
        assert close_code(client) == 1012
        assert running.wait() == 0
    assert not is_alive(pid)
    assert "Traceback" not in running.output()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_stops_the_reloader_and_its_workers_at_once(own_site: OwnSite, workers: str) -> None:
    running = own_site.start("--reload", "--workers", workers, bolt={"DRAIN_TIMEOUT": 60})
    with running.connect("/ws/stubborn") as client:
        client.recv(timeout=10)
        running.send_signal()
        assert close_code(client) == 1012
        assert running.process.poll() is None
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5


def test_several_workers_reload(own_site: OwnSite) -> None:
    with own_site.start("--reload", "--workers", "2") as running:
        assert "(2 workers, reloading on changes)" in running.banner
        before = set(connect_to_each(running, 2))
        own_site.write("own_site/api.py", SECOND)
        until_it_answers(running, "second")
        after = set(connect_to_each(running, 2))
        assert not before & after
    assert not any(map(is_alive, before | after))
