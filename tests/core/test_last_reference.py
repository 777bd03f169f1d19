"""Connections that only the reactor knows: they are freed when it lets them go, and may run code then."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from django_bolt import _core
from tests.core.loopback import Peer, Server, until

COUNT = 3
CLOSED = 2


class Dying(Peer):
    """A connection that says what it is like at its end, and does something then."""

    __slots__ = ()

    def __del__(self) -> None:
        try:
            acts[-1](self)
        except BaseException as error:  # nobody sees what a destructor raises
            ends.append(error)
        else:
            ends.append(self.ready_state)


ends: list[Any] = []
"""The state of each connection at its end, or what went wrong."""
acts: list[Callable[[Dying], object]] = []
"""What a connection does at its end; only the last entry counts."""


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    """What is freed here is freed by the last reference, and not by the collector."""
    ends.clear()
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    acts.clear()


def accept(ws: Peer) -> None:
    """Accept in the place of a handler."""
    accepting: Any = ws.accept_handshake(None, [])
    with pytest.raises(StopIteration):
        accepting.send(None)


def keep_nothing(ws: Peer) -> None:
    """Leave the client without an answer."""


@pytest.fixture(params=[keep_nothing, accept])
async def lonely(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server that has three connections of which nobody else knows."""
    server = Server(application=request.param)
    server.reactor = _core.Reactor(server.loop, Dying, request.param)
    server.reactor.start()
    for _ in range(COUNT):
        client = server.client()
        await client.send(client.protocol.request())
    await until(lambda: len(server.reactor.connections()) == COUNT, "the requests")
    yield server
    await server.stop()


async def test_they_are_freed_when_their_clients_leave(lonely: Server) -> None:
    left: list[int] = []
    acts.append(lambda _: left.append(len(lonely.reactor.connections())))
    for client in lonely.clients:
        before = len(ends)
        client.drop()
        await until(lambda: len(ends) > before, "its end")  # noqa: B023
    assert ends == [CLOSED] * COUNT
    assert left == [2, 1, 0]


def adopt(server: Server) -> None:
    """Hand another connection over, which is refused by now."""
    ours, theirs = socket.socketpair()
    with theirs:
        with pytest.raises(RuntimeError, match="closed"):
            server.reactor.adopt(ours.detach())
        assert theirs.recv(1) == b""


ACTS: dict[str, Callable[[Server, Dying], object]] = {
    "nothing": lambda server, ws: None,
    "ask": lambda server, ws: (server.reactor.connections(), server.reactor.counters, ws.raw_headers),
    "close": lambda server, ws: ws.close(1000),
    "adopt": lambda server, ws: adopt(server),
    "stop listening": lambda server, ws: server.reactor.stop_listening(),
    "close the reactor": lambda server, ws: server.reactor.close(),
    "collect": lambda server, ws: gc.collect(),
}


@pytest.mark.parametrize("name", ACTS)
async def test_what_runs_when_the_reactor_closes_may_ask_anything_of_it(lonely: Server, name: str) -> None:
    acts.append(lambda ws: ACTS[name](lonely, ws))
    await lonely.close()
    assert ends == [CLOSED] * COUNT
    assert lonely.reactor.connections() == []
