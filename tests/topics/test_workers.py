"""Topics over the worker processes of one server, with a publisher outside, while one worker is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.live_server import MANAGE, ROOT, LiveServer, LiveServers, live_servers, make_environment

__all__ = ["live_servers"]

CLIENTS = 300
ROOMS = 30
ROUNDS = 60
BROKER = "local://three-workers"
PATIENCE = 20


@pytest.fixture
def server(live_servers: LiveServers) -> Iterator[LiveServer]:
    server = live_servers.start("--noreload", "--workers", "3", bolt={"BROKER": BROKER})
    yield server
    assert server.stop() == 0


class Publisher:
    """A process that publishes lines, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def publish(self, topic: str, message: str) -> str:
        """Publish, and return what the process knows of it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{topic}\t{message}\n".encode())
        return (await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)).decode().strip()


@asynccontextmanager
async def publisher(database: Path) -> AsyncIterator[Publisher]:
    environment = make_environment(database) | {"TEST_PROJECT_BOLT": json.dumps({"BROKER": BROKER})}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(MANAGE), "publish"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Publisher(process)
    finally:
        assert process.stdin
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


class Member:
    """A client in a room that comes back when its worker dies.

    Attributes:
        worker: Process id of its worker.
        visits: What it got, from each coming to the next.
    """

    def __init__(self, server: LiveServer, room: int) -> None:
        self.room = room
        self.worker = 0
        self.visits: list[list[int]] = []
        self._url = f"ws://{server.host}/ws/topics/room/{room}"
        self.joined = asyncio.Event()

    async def run(self) -> None:
        """Listen until the last message, coming back where needed."""
        while not (self.visits and self.visits[-1] and self.visits[-1][-1] == ROUNDS - 1):
            async with await self._connect() as websocket:
                await self._listen(websocket)

    async def _connect(self) -> ClientConnection:
        while True:  # a worker that dies may leave its backlog unanswered
            try:
                return await connect(self._url, proxy=None, open_timeout=PATIENCE)
            except (OSError, EOFError, InvalidHandshake):
                await asyncio.sleep(0.01)

    async def _listen(self, websocket: ClientConnection) -> None:
        try:
            self.visits.append([])
            async for message in websocket:
                first, second = str(message).split()
                if first == "joined":  # a publication may come before it
                    self.worker = int(second)
                    self.joined.set()
                    continue
                assert int(first) == self.room
                number = int(second)
                self.visits[-1].append(number)
                if number == ROUNDS - 1:
                    return
        except ConnectionClosed:
            return


async def test_every_client_gets_its_room_in_order_while_a_worker_is_replaced(server: LiveServer) -> None:
    await all_workers_serve(server)
    members = [Member(server, number % ROOMS) for number in range(CLIENTS)]
    async with asyncio.timeout(2 * PATIENCE), asyncio.TaskGroup() as group:
        for member in members:
            group.create_task(member.run())
        await asyncio.gather(*(member.joined.wait() for member in members))
        workers = {member.worker for member in members}
        assert len(workers) == 3
        killed = members[0].worker
        async with publisher(server.log.parent) as outside:
            for number in range(ROUNDS):
                if number == ROUNDS // 3:
                    os.kill(killed, signal.SIGKILL)
                if number == 2 * ROUNDS // 3:
                    await all_back(members, killed)
                for room in range(ROOMS):
                    assert await outside.publish(f"room:{room}", f"{room} {number}") == "0 True"
    for member in members:
        check(member, was_killed=member.worker not in workers or len(member.visits) > 1)


async def all_workers_serve(server: LiveServer) -> None:
    """Wait until each worker has served a client: the server names its port before they do."""
    seen: set[str | bytes] = set()
    async with asyncio.timeout(PATIENCE):
        while len(seen) < 3:
            try:
                async with connect(f"ws://{server.host}/ws/topics/room/0", proxy=None) as websocket:
                    seen.add(await websocket.recv())
            except (OSError, EOFError, InvalidHandshake):
                await asyncio.sleep(0.01)


async def all_back(members: list[Member], killed: int) -> None:
    """Wait until nobody is connected to the killed worker any more."""
    while any(member.worker == killed for member in members):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def check(member: Member, was_killed: bool) -> None:
    """Nothing twice, nothing out of order, and a gap only where the worker died."""
    for visit in member.visits:
        assert visit == list(range(visit[0], visit[0] + len(visit))) if visit else True
    if not was_killed:
        assert member.visits == [list(range(ROUNDS))]
        return
    first, *_, last = member.visits
    assert first[:1] in ([0], [])
    assert last[-1] == ROUNDS - 1
    assert last[0] <= 2 * ROUNDS // 3
