"""The live test project, and projects of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_server import live_servers
from tests.server.own_site import OwnSite

__all__ = ["live_servers", "own_site"]


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[OwnSite]:
    """A Django project that the test may change."""
    site = OwnSite(tmp_path)
    yield site
    site.end()
