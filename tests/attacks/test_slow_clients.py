"""The slow-client proof, see `tests.attacks.slow_clients`."""

from __future__ import annotations

import pytest

from tests.attacks.serving import MEASURES_MEMORY, MIB, Servers
from tests.attacks.slow_clients import OUTBOUND_LIMIT, prove


@pytest.mark.slow
@pytest.mark.skipif(not MEASURES_MEMORY, reason="needs /proc/PID/smaps_rollup")
def test_495_clients_are_served_beside_5_that_never_read(servers: Servers) -> None:
    """Bound: OUTBOUND_LIMIT, whose messages all clients share, and 4 MiB for everything else."""
    with servers.make() as server:
        figures = prove(server)
    print("\n".join(figures.lines()))
    assert figures.complete == figures.listeners == 495
    assert figures.closed == figures.slow == 5
    assert figures.growth < OUTBOUND_LIMIT + 4 * MIB
    assert figures.slowest_echo < 0.5
