"""Fixtures of the conformance tests: each test body runs on a live server and on a `TestClient`."""

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


@pytest.fixture(params=["live", "test_client"])
def site(
    request: pytest.FixtureRequest,
    bolt: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Site]:
    """The test project, served in one way and then in the other."""
    if request.param == "live":
        live = LiveSite(request.getfixturevalue("live_servers").get(bolt))
        yield live
        live.close()
        return
    caplog.set_level(logging.DEBUG)
    with (
        override_settings(BOLT={"API": ["tests.project.api"], **bolt}),
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
