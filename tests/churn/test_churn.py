"""A quarter of a minute of churn; `make churn` has three minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.serving import MEASURES_MEMORY, Server
from tests.churn.run import BOLT, allow_descriptors, churn

VISITORS = 2600
"""Most of them are connected at any time."""


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(not MEASURES_MEMORY, reason="needs /proc")
def test_the_server_is_as_it_was_after_clients_that_vanish_stall_and_send_garbage(tmp_path: Path) -> None:
    allow_descriptors(2 * VISITORS + 1000)
    with Server(tmp_path / "log", "127.0.0.1:0", bolt=BOLT) as server:
        report = churn(server, 15, VISITORS)
    print("\n".join(report.lines()))
    report.check()
