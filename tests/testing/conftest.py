"""Fixtures of the tests of the test clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testing.sample_api import everybody, seen
from tests.testing.twins import KINDS

__all__ = ["kind"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """One kind of client, then the other."""
    kind: str = request.param
    return kind


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    seen.clear()
    everybody.clear()
