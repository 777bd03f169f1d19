from __future__ import annotations

import io
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_bolt import BoltAPI, WebSocket
from django_bolt.management.commands import runbolt
from django_bolt.server.listening import Address
from tests.server.own_site import API, OwnSite

api = BoltAPI()


@api.websocket("/only")
async def only(websocket: WebSocket) -> None:
    """Never called."""


# ── where ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (None, Address("127.0.0.1", 8000)),
        ("", Address("127.0.0.1", 8000)),
        ("9000", Address("127.0.0.1", 9000)),
        ("0:9000", Address("0.0.0.0", 9000)),
        ("0.0.0.0:9000", Address("0.0.0.0", 9000)),
        ("192.0.2.1:80", Address("192.0.2.1", 80)),
        ("localhost:9000", Address("localhost", 9000)),
        ("my-host.example:9000", Address("my-host.example", 9000)),
        ("[::1]:9000", Address("::1", 9000, ipv6=True)),
        ("[2001:db8::1]:9000", Address("2001:db8::1", 9000, ipv6=True)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("65535", Address("127.0.0.1", 65535)),
    ],
)
def test_addresses(text: str | None, address: Address) -> None:
    assert runbolt._parse_address(text, use_ipv6=False) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (None, Address("::1", 8000, True)),
        ("9000", Address("::1", 9000, True)),
        ("localhost:1", Address("localhost", 1, True)),
    ],
)
def test_addresses_with_the_option_for_ipv6(text: str | None, address: Address) -> None:
    assert runbolt._parse_address(text, use_ipv6=True) == address


@pytest.mark.parametrize(
    "text", ["nonsense", "127.0.0.1", "127.0.0.1:", "1:2:3", "::1:8000", "65536", "-1", "8000x", "a b:1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(CommandError, match="is not a valid port number or address:port pair"):
        runbolt._parse_address(text, use_ipv6=False)


def test_an_ipv4_address_with_the_option_for_ipv6() -> None:
    with pytest.raises(CommandError, match="not a valid IPv6 address"):
        runbolt._parse_address("127.0.0.1:8000", use_ipv6=True)


# ── arguments, without serving ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def reloads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each run would have reloaded."""
    runs: list[bool] = []

    def run(plan: runbolt._Plan, use_reloader: bool) -> int:
        runs.append(use_reloader)
        return 0

    monkeypatch.setattr(runbolt._Plan, "run", run)
    with override_settings(BOLT={"API": "tests.management.test_runbolt.api"}):
        yield runs


def command(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("runbolt", "127.0.0.1:0", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
def test_reloading_is_the_default_while_debug_is_on(reloads: list[bool], debug: bool) -> None:
    with override_settings(DEBUG=debug):
        outputs = [command(), command("--reload"), command("--noreload")]
    assert reloads == [debug, True, False]
    assert ["reloading on changes" in output for output in outputs] == reloads


@pytest.mark.django_db
def test_what_it_says(reloads: list[bool]) -> None:
    output = command("--workers", "3", skip_checks=False)
    assert "Performing system checks..." in output
    assert "System check identified no issues" in output
    assert "Serving 1 WebSocket endpoint and the Django site at http://127.0.0.1:" in output
    assert "(3 workers)" in output
    assert "Quit the server with CONTROL-C." in output


@pytest.mark.django_db
@pytest.mark.parametrize(("workers", "broker"), [("2", "memory://"), ("1", "memory://"), ("2", "local://")])
def test_workers_that_do_not_hear_each_other(reloads: list[bool], workers: str, broker: str) -> None:
    errors = io.StringIO()
    with override_settings(BOLT={"API": "tests.management.test_runbolt.api", "BROKER": broker}):
        command("--workers", workers, stderr=errors)
    assert ("does not reach the clients of another" in errors.getvalue()) is (
        (workers, broker) == ("2", "memory://")
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "debug"), [(2**30, False), (2**30, True), (10, False)])
def test_connections_for_which_there_are_no_descriptors(reloads: list[bool], count: int, debug: bool) -> None:
    """A developer's machine need not take so many."""
    errors = io.StringIO()
    bolt = {"API": "tests.management.test_runbolt.api", "MAX_CONNECTIONS": count}
    with override_settings(BOLT=bolt, DEBUG=debug):
        command(stderr=errors)
    assert ("LimitNOFILE" in errors.getvalue()) is ((count, debug) == (2**30, False))


@pytest.mark.django_db
def test_skip_checks(reloads: list[bool]) -> None:
    assert "Performing system checks" not in command("--skip-checks", skip_checks=True)
    assert reloads == [False]


@pytest.mark.parametrize("count", ["0", "-1"])
def test_workers_must_be_some(reloads: list[bool], count: str) -> None:
    with pytest.raises(CommandError, match=f"--workers must be at least 1, not {count}"):
        command(f"--workers={count}")
    assert reloads == []


def test_an_address_and_a_unix_socket_exclude_each_other(reloads: list[bool]) -> None:
    with pytest.raises(CommandError, match="not both"):
        command("--uds", "/nowhere/site.sock")


def test_reload_and_noreload_exclude_each_other(reloads: list[bool]) -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        command("--reload", "--noreload")


def test_a_key_without_a_certificate(reloads: list[bool]) -> None:
    with pytest.raises(CommandError, match="--ssl-certfile"):
        command("--ssl-keyfile", "key.pem")


@override_settings(ALLOWED_HOSTS=[])
def test_without_debug_hosts_must_be_allowed(reloads: list[bool]) -> None:
    with pytest.raises(CommandError, match="ALLOWED_HOSTS"):
        command()


# ── as a user starts it ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_serves_the_endpoints_of_the_project_and_its_apps(own_site: OwnSite) -> None:
    with own_site.start("--noreload", bolt={"DRAIN_TIMEOUT": 0}) as running:
        assert "using settings 'own_site.settings'" in running.output()
        assert "4 WebSocket endpoints and the Django site" in running.banner
        assert "(1 worker)" in running.banner
        answer, pid = running.ask()
        assert (answer, pid) == ("first", running.process.pid)
        with running.connect("/ws/stubborn") as client:
            assert client.recv(timeout=10) == "ready"
        with urllib.request.urlopen(running.url) as response:
            assert response.read() == f"page {pid}".encode()


def test_the_setting_names_other_endpoints(own_site: OwnSite) -> None:
    with own_site.start("--noreload", bolt={"API": ["own_site.api.api"]}) as running:
        assert "Serving 1 WebSocket endpoint and" in running.banner
        assert running.ask()[0] == "first"


def test_two_endpoints_on_one_path(own_site: OwnSite) -> None:
    own_site.write("shop/api.py", API.replace("async def answer", "async def reply"))
    done = own_site.run("127.0.0.1:0", "--noreload")
    assert done.returncode == 1
    assert "own_site.api.answer (" in done.stderr
    assert "shop.api.reply (" in done.stderr
    assert "'/ws/answer'" in done.stderr
    assert "Serving" not in done.stdout


def test_a_module_that_cannot_be_imported(own_site: OwnSite) -> None:
    own_site.write("shop/api.py", "import no_such_module\n")
    done = own_site.run("127.0.0.1:0", "--noreload")
    assert done.returncode == 1
    assert "no_such_module" in done.stderr
    assert "shop/api.py:1" in done.stderr


def test_a_setting_with_a_slip(own_site: OwnSite) -> None:
    done = own_site.run("127.0.0.1:0", "--noreload", bolt={"MAX_MESAGE_SIZE": 1})
    assert done.returncode == 1
    assert "Did you mean 'MAX_MESSAGE_SIZE'?" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("reload", ["--reload", "--noreload"])
def test_a_port_that_is_taken(own_site: OwnSite, workers: str, reload: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = own_site.run(f"127.0.0.1:{taken.getsockname()[1]}", reload, "--workers", workers)
    assert done.returncode == 1
    assert "That port is already in use." in done.stderr
    assert "Traceback" not in done.stderr
    assert "Serving" not in done.stdout


def test_an_address_that_is_not_ours(own_site: OwnSite) -> None:
    done = own_site.run("192.0.2.1:0", "--noreload")
    assert done.returncode == 1
    assert "That IP address can't be assigned to." in done.stderr


def test_a_host_that_does_not_exist(own_site: OwnSite) -> None:
    done = own_site.run("no-such-host.invalid:0", "--noreload")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_bad_address(own_site: OwnSite) -> None:
    done = own_site.run("nonsense")
    assert done.returncode == 1
    assert "'nonsense' is not a valid port number or address:port pair." in done.stderr


def test_debug_serves_without_allowed_hosts(own_site: OwnSite) -> None:
    with own_site.start(debug=True, hosts=[]) as running:
        assert "(1 worker, reloading on changes)" in running.banner
        answer, pid = running.ask()
        assert answer == "first"
        assert pid != running.process.pid
