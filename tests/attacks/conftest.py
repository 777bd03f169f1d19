"""Fixtures of the attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.serving import MEASURES_MEMORY, Server, Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with any settings; see `Servers.get` and `Servers.make`."""
    started = Servers(tmp_path_factory.mktemp("attacked"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """The server with default limits and short times."""
    return servers.get()


@pytest.fixture
def measured(server: Server) -> Server:
    """The same, for tests that measure its memory; skipped where the system does not tell."""
    if not MEASURES_MEMORY:
        pytest.skip("needs /proc/PID/smaps_rollup")
    with server.open("/echo") as peer:  # what the first connection loads and allocates is no growth
        assert peer.echoes(bytes(65_536).replace(b"\0", b"x"))
    return server
