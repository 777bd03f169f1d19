"""The broadcast and room snippets of the specification, with many clients of which some vanish by RST.

Whoever stays gets every message in order, no handler but those of the dead clients ends, and the sets are
empty at the end. One test body for both: with `asyncio` and the package ``websockets`` on a live server, and
with sessions of `TestClient`, whose calls block and so run in threads.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from tests.conformance.sites import TIMEOUT, LiveSite, Session, Site, wait_until, with_bolt

CLIENTS = 200
VANISHING = 20
SENDERS = 5
ROUNDS = 10


class Client(ABC):
    """One of many connections."""

    @abstractmethod
    async def send(self, text: str) -> None:
        """Send text."""

    @abstractmethod
    async def receive(self) -> str | bytes:
        """Receive a message, soon."""

    @abstractmethod
    async def close(self) -> None:
        """Close in order."""

    @abstractmethod
    def vanish(self) -> None:
        """Reset the connection."""


class LiveClient(Client):
    """A client of the package ``websockets``."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def send(self, text: str) -> None:
        await self._websocket.send(text)

    async def receive(self) -> str | bytes:
        async with asyncio.timeout(TIMEOUT):
            return await self._websocket.recv()

    async def close(self) -> None:
        await self._websocket.close()

    def vanish(self) -> None:
        connection = self._websocket.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._websocket.transport.abort()


class TestClientClient(Client):
    """A session of a `TestClient`."""

    __test__ = False

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send(self, text: str) -> None:
        await asyncio.to_thread(self._session.send, text)

    async def receive(self) -> str | bytes:
        return await asyncio.to_thread(self._session.receive)

    async def close(self) -> None:
        await asyncio.to_thread(self._session.close)

    def vanish(self) -> None:
        self._session.vanish()


async def open_client(site: Site, path: str, *, max_queue: int | None = None) -> Client:
    """Connect to an endpoint; with `max_queue`, read no further than so many messages ahead of the test."""
    if isinstance(site, LiveSite):
        url = f"ws://{site.server.host}{path}"
        return LiveClient(await open_websocket(url, proxy=None, ping_interval=None, max_queue=max_queue))
    return TestClientClient(await asyncio.to_thread(site.connect, path))


async def open_clients(site: Site, path: str, count: int) -> list[Client]:
    """Connect so many times."""
    return [await open_client(site, path) for _ in range(count)]


async def receive_in_order(client: Client, count: int) -> list[str | bytes]:
    """Receive so many messages."""
    return [await client.receive() for _ in range(count)]


async def at_once(awaitables: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all of them."""
    return list(await asyncio.gather(*awaitables))


async def wait_for_members(site: Site, look: Callable[[dict[str, Any]], int], count: int) -> None:
    """Wait until a set of the specification has so many members."""
    await asyncio.to_thread(wait_until, lambda: look(site.probe()), count.__eq__)


def clients_of(probe: dict[str, Any]) -> int:
    """Return how many members the set of the broadcast snippet has."""
    count: int = probe["clients"]
    return count


async def send_rounds(senders: list[Client], rounds: range) -> None:
    """Let each sender send a message in each round, without waiting for any of them to arrive."""
    for number in rounds:
        await at_once(sender.send(f"{index}:{number}") for index, sender in enumerate(senders))


def by_sender(messages: Iterable[str | bytes]) -> dict[int, list[int]]:
    """Return the numbers of the messages of each sender, as they came."""
    numbers: dict[int, list[int]] = {}
    for message in messages:
        index, number = map(int, str(message).split(":"))
        numbers.setdefault(index, []).append(number)
    return numbers


async def test_broadcast_survives_clients_that_vanish(site: Site) -> None:
    clients = await open_clients(site, "/ws/broadcast", CLIENTS)
    await wait_for_members(site, clients_of, CLIENTS)
    vanishing, staying = clients[:VANISHING], clients[VANISHING:]
    senders = staying[:SENDERS]

    await send_rounds(senders, range(ROUNDS))
    # In the middle: the first messages have come, others are under way, and more are sent at once.
    await at_once(client.receive() for client in vanishing)
    for client in vanishing:
        client.vanish()
    await send_rounds(senders, range(ROUNDS, 2 * ROUNDS))

    received = await at_once(receive_in_order(client, SENDERS * 2 * ROUNDS) for client in staying)
    expected = {index: list(range(2 * ROUNDS)) for index in range(SENDERS)}
    assert all(by_sender(messages) == expected for messages in received)
    # All got them in one and the same order, as the loop over the set does not suspend half way.
    assert all(messages == received[0] for messages in received)

    await wait_for_members(site, clients_of, CLIENTS - VANISHING)
    await check_that_all_handlers_run(staying)
    await leave(staying)
    await wait_for_members(site, clients_of, 0)
    assert "Traceback" not in site.output()


async def check_that_all_handlers_run(clients: list[Client]) -> None:
    """Let each client be heard by the first one."""
    await at_once(client.send(f"still here {index}") for index, client in enumerate(clients))
    heard = await receive_in_order(clients[0], len(clients))
    assert sorted(heard, key=str) == sorted(f"still here {index}" for index in range(len(clients)))


async def leave(clients: list[Client]) -> None:
    """Leave, one half in order and the other not."""
    half = len(clients) // 2
    await at_once(client.close() for client in clients[:half])
    for client in clients[half:]:
        client.vanish()


async def test_room_chat_survives_clients_that_vanish(site: Site) -> None:
    rooms = {
        room_id: await open_clients(site, f"/room-chat/ws/room/{room_id}", CLIENTS // 2)
        for room_id in ("red", "blue")
    }
    for room_id in rooms:
        await wait_for_members(site, lambda probe, room_id=room_id: probe["rooms"][room_id], CLIENTS // 2)  # type: ignore[misc]

    for number in range(ROUNDS):
        await at_once(members[-1].send(str(number)) for members in rooms.values())
    for members in rooms.values():
        await at_once(member.receive() for member in members[: VANISHING // 2])
        for member in members[: VANISHING // 2]:
            member.vanish()
    for number in range(ROUNDS, 2 * ROUNDS):
        await at_once(members[-1].send(str(number)) for members in rooms.values())

    for room_id, members in rooms.items():
        staying = members[VANISHING // 2 :]
        received = await at_once(receive_in_order(member, 2 * ROUNDS) for member in staying)
        assert received == [[f"[{room_id}] {number}" for number in range(2 * ROUNDS)]] * len(staying)
        await leave(staying)
        await wait_for_members(site, lambda probe, room_id=room_id: probe["rooms"][room_id], 0)  # type: ignore[misc]
    assert "Traceback" not in site.output()


@with_bolt(OUTBOUND_LIMIT=262_144)
async def test_broadcast_is_not_held_up_by_a_client_that_does_not_read(site: Site) -> None:
    """A handler is slowed only by its own client; the one that does not read is closed."""
    slow = await open_client(site, "/ws/broadcast", max_queue=1)
    sender, *others = await open_clients(site, "/ws/broadcast", 4)
    # More than the outbound buffer and the kernel's two together, also when compressed.
    text, rounds = base64.b64encode(os.urandom(112_500)).decode(), 100

    async def send_and_receive() -> None:
        for _ in range(rounds):
            await sender.send(text)
            assert await at_once(client.receive() for client in (sender, *others)) == [text] * 4

    await asyncio.wait_for(send_and_receive(), 2 * TIMEOUT)
    await wait_for_members(site, clients_of, 4)
    await check_that_all_handlers_run([sender, *others])
    slow.vanish()
    await leave([sender, *others])
    await wait_for_members(site, clients_of, 0)
    assert "Traceback" not in site.output()


@pytest.mark.parametrize("leaving", ["close", "vanish"])
async def test_sender_leaves_in_the_middle_of_its_own_messages(site: Site, leaving: str) -> None:
    """What it sent before it left reaches the others; its own handler ends, and no other."""
    sender, *others = await open_clients(site, "/ws/broadcast", 10)
    for number in range(ROUNDS):
        await sender.send(str(number))
    await others[0].receive()
    if leaving == "close":
        await sender.close()
    else:
        sender.vanish()
    await wait_for_members(site, clients_of, len(others))
    await others[0].send("last")
    first = await receive_until(others[1], "last")
    assert first == [str(number) for number in range(len(first))]
    if leaving == "close":
        assert len(first) == ROUNDS
    await leave(others)
    await wait_for_members(site, clients_of, 0)
    assert "Traceback" not in site.output()


async def receive_until(client: Client, last: str) -> list[str | bytes]:
    """Receive until a message comes; returns what came before it."""
    received: list[str | bytes] = []
    while (message := await client.receive()) != last:
        received.append(message)
    return received
