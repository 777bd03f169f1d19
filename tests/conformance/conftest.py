"""Fixtures of the conformance tests: each test body runs on a live server and on a `TestClient`.

The tests of a module with ``HANDLERS = ["async def", "def"]`` run with handlers of both kinds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.test import override_settings

from django_bolt.testing import TestClient
from tests.conformance.accounts import Visitor
from tests.conformance.sites import LiveSite, Session, Site, TestClientSite
from tests.live_server import live_server, live_servers

__all__ = ["bolt", "connect", "live_server", "live_servers", "site", "visit"]


@pytest.fixture
def bolt() -> dict[str, Any]:
    """The settings ``BOLT`` that a test wants; set them with `with_bolt`."""
    return {}


APIS = {"async def": "tests.project.api", "def": "tests.project.sync_api"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests on each site that they are meant for."""
    if "site" not in metafunc.fixturenames:
        return
    handlers = getattr(metafunc.module, "HANDLERS", ["async def"])
    modes = [(mode, kind) for kind in handlers for mode in ("live", "test_client")]
    ids = [mode if kind == "async def" else f"{mode}-{kind}" for mode, kind in modes]
    metafunc.parametrize("site", modes, indirect=True, ids=ids)


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    bolt: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Site]:
    """The test project, served in one way and then in the other."""
    mode, kind = request.param
    if kind != "async def":
        bolt = {"API": [APIS[kind]], **bolt}
    if mode == "live":
        live = LiveSite(request.getfixturevalue("live_servers").get(bolt))
        yield live
        live.close()
        return
    caplog.set_level(logging.DEBUG)
    with (
        override_settings(BOLT={"API": [APIS[kind]], **bolt}),
        TestClient(
            raise_handler_exceptions=False
        ) as client,  # for the client to see what it sees of a live server
    ):
        within = TestClientSite(client, caplog, capsys)
        yield within
        within.close()


@pytest.fixture
def connect(site: Site) -> Callable[..., Session]:
    """Connect to an endpoint of the test project; see `Site.connect`."""
    return site.connect


@pytest.fixture
def visit(site: Site, settings: Any) -> Callable[..., Visitor]:
    """Make a user of the site, and a browser for it; see `Visitor`. The test needs the database."""
    settings.ROOT_URLCONF = "tests.project.urls"
    return partial(Visitor, site)
