from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.topics.brokers.redis.valkey import Valkey, serving


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server that a test may kill."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[Valkey]:
    """A server that tests leave as it is."""
    with serving() as server:
        yield server
