from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from django_bolt.auth import IsStaff
from django_bolt.endpoints.connected_users import ConnectedUsers
from tests.endpoints.watched import identified, until
from tests.memory_connection import MemoryConnection


@pytest.fixture
def users() -> ConnectedUsers:
    return ConnectedUsers()


class Serving:
    """Serves a connection, as its dispatcher does, until it is told to stop."""

    def __init__(self, users: ConnectedUsers, websocket: MemoryConnection) -> None:
        self.websocket = websocket
        self._users = users
        self._added = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        self.watch = self._users.add(self.websocket, [IsStaff()])
        self._added.set()
        await self._stopped.wait()

    async def begin(self) -> Serving:
        await self._added.wait()
        return self

    async def end(self) -> None:
        self._stopped.set()
        await self._task


async def serving(users: ConnectedUsers, **fields: Any) -> Serving:
    return await Serving(users, identified(**fields)).begin()


async def test_connections_are_known_by_user_while_they_are_served(users: ConnectedUsers) -> None:
    first, second, other = [await serving(users, user_id=user_id) for user_id in (7, "7", 8)]
    assert set(users.of("7")) == set(users.of(7)) == {first.websocket, second.websocket}
    assert users.of(8) == [other.websocket]
    assert users.of(9) == []
    assert len(users.all_watches()) == 3
    await first.end()
    assert users.of(7) == [second.websocket]
    for each in (second, other):
        await each.end()
    assert users.all_watches() == []
    assert users._watches == {}


async def test_a_client_without_a_user_is_not_watched(users: ConnectedUsers) -> None:
    anonymous = await Serving(users, MemoryConnection()).begin()
    nobody = await serving(users, user_id=None)
    assert (anonymous.watch, nobody.watch) == (None, None)
    assert users.all_watches() == []
    await anonymous.end()
    await nobody.end()


async def test_closing_tells_how_many_there_were(users: ConnectedUsers) -> None:
    served = [await serving(users, user_id=user_id) for user_id in (7, 7, 8)]
    served[1].websocket.leave()
    assert users.close("7", 4000, "go away") == 1
    await until(lambda: served[0].websocket.closed)
    assert [each.websocket.closed for each in served] == [(4000, "go away"), None, None]
    assert users.of(7) == []
    assert users.close(9, 4000, "go away") == 0
    for each in served:
        await each.end()


async def test_nothing_of_a_connection_is_kept_when_it_has_ended(users: ConnectedUsers) -> None:
    each = await serving(users, expires_at=2.0**40)
    gone = [weakref.ref(each.websocket), weakref.ref(each.watch)]
    await each.end()
    del each
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
