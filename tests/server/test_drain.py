"""What the server does with the clients that it has when it stops, also with those that are at odds with that."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from django_bolt import _core
from tests.live_server import LiveServers
from tests.server.own_site import OwnSite
from tests.server.test_http import Wire

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


@pytest.mark.parametrize("is_late", [False, True], ids=["at the signal", "when others were told"])
def test_a_head_that_completes_after_the_signal(live_servers: LiveServers, is_late: bool) -> None:
    """It gets 503, and the process ends all the same."""
    server = live_servers.start(bolt={"DRAIN_TIMEOUT": 2, "CLOSE_TIMEOUT": 2})
    with Wire(server) as stubborn, Wire(server) as late:
        stubborn.upgrade()
        request = _core.ClientProtocol("/outcomes/echo", server.host).request()
        late.send(request[:10])
        time.sleep(0.05)  # or the connection might not be accepted by then
        server.terminate()
        began = time.monotonic()
        assert stubborn.read(4)[2:] == (1012).to_bytes(2)  # Close, which stays without an answer
        if is_late:
            time.sleep(0.5)
        late.send(request[10:])
        assert late.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")
        assert server.wait() == 0
    assert time.monotonic() - began < 8
    assert "Traceback" not in server.output()


def test_an_idle_connection_does_not_keep_a_stopping_server(live_servers: LiveServers) -> None:
    server = live_servers.start()
    with Wire(server) as wire:  # It listens before it minds signals.
        wire.send(wire.request("GET /echo/ HTTP/1.1"))
        assert wire.response()[0] == 200
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    silent[0].send(b"GET /")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    for connection in silent:
        connection.close()
