"""The fixtures for pytest, in runs of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """
    from django_bolt import BoltAPI, WebSocket

    api, other = BoltAPI(), BoltAPI()

    @api.websocket("/echo")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(f"Echo: {message}")

    @other.websocket("/fails")
    async def fails(websocket: WebSocket):
        raise LookupError("of the handler")

    @other.websocket("/fails-late")
    async def fails_late(websocket: WebSocket):
        await websocket.accept()
        try:
            await websocket.receive()
        finally:
            raise LookupError("that nobody has seen") from None
"""
SETTINGS = """
    from tests.settings import *

    BOLT = {"API": "site_api.api"}
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with two APIs, of which one is found."""
    for directory in (ROOT / "python", ROOT, pytester.path):
        monkeypatch.setenv("PYTHONPATH", str(directory), prepend=os.pathsep)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_settings")
    pytester.makepyfile(site_api=PROJECT, site_settings=SETTINGS)
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run its tests with the plugin, which an installation of an older tree does not name yet."""
    known = entry_points(group="pytest11", name="django_bolt")
    load = [] if known else ["-p", "django_bolt.testing.plugin"]
    return project.runpytest_subprocess(*load, "-W", "error", *options)


BLOCKING = """
    import pytest
    from django_bolt.testing import TestClient
    from site_api import other

    def test_the_project(bolt_client):
        assert isinstance(bolt_client, TestClient)
        with bolt_client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            assert ws.receive_text() == "Echo: a"

    def test_an_api(bolt_client_for):
        one, two = bolt_client_for(other, timeout=1), bolt_client_for(other)
        assert (one.timeout, two.timeout) == (1, 5)
        for client in (one, two):
            with pytest.raises(LookupError):
                client.websocket_connect("/fails")

    def test_the_database_is_there_first(bolt_client_for, db):
        from django.contrib.auth.models import User
        client = bolt_client_for(other)
        client.force_login(User.objects.create_user("ada"))
        assert client.session["_auth_user_id"]

    def test_an_error_that_nobody_has_seen(bolt_client_for):
        bolt_client_for(other).websocket_connect("/fails-late")
"""
ASYNCHRONOUS = """
    import asyncio
    import pytest
    from django_bolt.testing import AsyncTestClient
    from site_api import other

    pytestmark = pytest.mark.{plugin}

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    async def test_the_project(async_bolt_client):
        assert isinstance(async_bolt_client, AsyncTestClient)
        async with async_bolt_client.websocket_connect("/echo") as ws:
            await ws.send_text("a")
            assert await ws.receive_text() == "Echo: a"

    async def test_an_api(async_bolt_client_for):
        one, two = await async_bolt_client_for(other, timeout=1), await async_bolt_client_for(other)
        assert (one.timeout, two.timeout) == (1, 5)
        for client in (one, two):
            with pytest.raises(LookupError):
                await client.websocket_connect("/fails")

    async def test_an_error_that_nobody_has_seen(async_bolt_client_for):
        client = await async_bolt_client_for(other)
        await client.websocket_connect("/fails-late")
"""
HAS_ANYIO = find_spec("anyio") is not None


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_with_pytest_asyncio(project: pytest.Pytester, mode: str) -> None:
    project.makepyfile(test_blocking=BLOCKING, test_asyncio=ASYNCHRONOUS.format(plugin="asyncio"))
    project.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function")
    result = run(project)
    result.assert_outcomes(passed=7, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_an_error_that_nobody_has_seen*",
            "*raise LookupError(*",
            "*LookupError: that nobody has seen",
        ]
    )


@pytest.mark.skipif(not HAS_ANYIO, reason="anyio is not installed")
def test_with_anyio_beside_pytest_asyncio(project: pytest.Pytester) -> None:
    project.makepyfile(ASYNCHRONOUS.format(plugin="anyio"))
    project.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    run(project).assert_outcomes(passed=3, errors=1)


def test_without_pytest_asyncio(project: pytest.Pytester) -> None:
    project.makepyfile(test_neither="def test_it(async_bolt_client): pass", test_blocking=BLOCKING)
    if HAS_ANYIO:
        project.makepyfile(test_anyio=ASYNCHRONOUS.format(plugin="anyio"))
    result = run(project, "-p", "no:asyncio")
    result.assert_outcomes(passed=4 + 3 * HAS_ANYIO, errors=2 + HAS_ANYIO)
    result.stdout.fnmatch_lines(["*async_bolt_client needs pytest-asyncio, or anyio*"])


def test_loading_it_needs_no_settings() -> None:
    script = (
        "import django_bolt.testing.plugin, sys; from django.conf import settings; "
        "assert not settings.configured; print('loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "python"), "PATH": ""},
    )
    assert done.stdout == "loaded\n"
