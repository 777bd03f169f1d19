"""Closing many connections when the server stops: over a time, in no order that a client could know."""

from __future__ import annotations

import asyncio
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.own_site import OwnSite

CLIENTS = 301  # four batches, three pauses


async def test_many_connections_are_closed_over_the_spread(own_site: OwnSite) -> None:
    running = own_site.start("--noreload", bolt={"DRAIN_SPREAD": 0.9, "PING_INTERVAL": None})
    url = f"ws://127.0.0.1:{running.port}/ws/answer"
    clients = [await connect(url, compression=None, ping_interval=None) for _ in range(CLIENTS)]
    running.send_signal()
    began = time.monotonic()
    ended = await asyncio.gather(*(closed_after(client, began) for client in clients))
    assert {code for code, _ in ended} == {1012}
    times = [after for _, after in ended]
    # The pauses' jitter is from half to one and a half of their mean.
    assert 0.4 < max(times) - min(times) < 5
    assert times != sorted(times)
    assert running.wait() == 0


async def closed_after(client: ClientConnection, began: float) -> tuple[int | None, float]:
    """Wait for the server's Close frame; returns its code and when it came."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else None), time.monotonic() - began
