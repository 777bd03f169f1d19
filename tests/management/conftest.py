"""Projects of a test's own."""

from __future__ import annotations

from tests.server.conftest import own_site

__all__ = ["own_site"]
