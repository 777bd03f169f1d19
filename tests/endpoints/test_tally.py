from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any

import pytest

from django_bolt.endpoints.tally import Tally, client_network


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


def begin(tally: Tally, key: Hashable, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Count a task that does some work."""
    task = asyncio.get_running_loop().create_task(work)
    tally.count(key, task)
    return task


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Wait for tasks, however they end, and for what is called when they have."""
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
    await asyncio.sleep(0)


async def test_a_key_is_full_at_its_limit(tally: Tally, gate: asyncio.Event) -> None:
    tasks = []
    for count in range(3):
        assert not tally.is_full("a", 3), count
        tasks.append(begin(tally, "a", gate.wait()))
    assert tally.is_full("a", 3)
    assert tally.is_full("a", 2)
    assert not tally.is_full("a", 4)
    gate.set()
    await end(*tasks)


@pytest.mark.parametrize("count", [0, 1, 100])
async def test_without_a_limit_nobody_is_full(tally: Tally, gate: asyncio.Event, count: int) -> None:
    tasks = [begin(tally, "a", gate.wait()) for _ in range(count)]
    assert not tally.is_full("a", None)
    gate.set()
    if tasks:
        await end(*tasks)


@pytest.mark.parametrize(
    ("one", "other"), [("192.0.2.1", "192.0.2.2"), ("1", 1), (None, ""), ("a", "A"), ((1, 2), (2, 1))]
)
async def test_keys_are_counted_apart(
    tally: Tally, gate: asyncio.Event, one: Hashable, other: Hashable
) -> None:
    task = begin(tally, one, gate.wait())
    assert tally.is_full(one, 1)
    assert not tally.is_full(other, 1)
    gate.set()
    await end(task)


async def _raise() -> None:
    raise LookupError


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("work", [_nothing, _raise])
async def test_a_place_is_given_back_when_the_task_ends(tally: Tally, work: Any) -> None:
    task = begin(tally, "a", work())
    assert tally.is_full("a", 1)
    await end(task)
    assert not tally.is_full("a", 1)


async def test_a_place_is_given_back_when_the_task_is_cancelled(tally: Tally, gate: asyncio.Event) -> None:
    """Before it has begun, and while it waits."""
    for turns in (0, 1):
        task = begin(tally, "a", gate.wait())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        assert tally.is_full("a", 1), "it has not ended yet"
        await end(task)
        assert not tally.is_full("a", 1)


async def test_one_that_ends_makes_room_for_one(tally: Tally, gate: asyncio.Event) -> None:
    first = begin(tally, "a", _nothing())
    others = [begin(tally, "a", gate.wait()) for _ in range(2)]
    await end(first)
    assert not tally.is_full("a", 3)
    assert tally.is_full("a", 2)
    gate.set()
    await end(*others)


async def test_keys_without_connections_are_forgotten(tally: Tally) -> None:
    """Addresses come and go for as long as the process lives."""
    await end(*[begin(tally, f"192.0.2.{number}", _nothing()) for number in range(200)])
    assert not tally.is_full("asked for only", 1)
    assert tally._counts == {}


# ── who is one client ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a:name", "a:name"),
        ("", ""),
    ],
)
def test_the_network_of_a_client(address: str, network: str) -> None:
    assert client_network(address) == network
