from __future__ import annotations

import asyncio

from django_bolt.topics.brokers.redis.pending import Pending


async def test_nothing_pending_is_not_waited_for() -> None:
    pending = Pending()
    await pending.wait(())
    await pending.wait(["a"])


async def test_each_request_has_its_answer() -> None:
    pending = Pending()
    pending.add("a")
    pending.add("a")
    waiting = asyncio.ensure_future(pending.wait(["a"]))
    await asyncio.sleep(0)
    pending.confirm("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    pending.confirm("a")
    await waiting
    assert "a" not in pending


async def test_one_waits_for_all_or_for_some() -> None:
    pending = Pending()
    for name in "abc":
        pending.add(name)
    everything, some = asyncio.ensure_future(pending.wait(())), asyncio.ensure_future(pending.wait("ab"))
    await asyncio.sleep(0)
    pending.add("late")
    pending.confirm("a")
    pending.confirm("b")
    await some
    assert not everything.done()
    pending.confirm("c")
    await everything


async def test_a_name_that_is_not_wanted_is_not_waited_for() -> None:
    pending = Pending()
    pending.add("a")
    pending.add("b")
    waiting = asyncio.ensure_future(pending.wait(()))
    await asyncio.sleep(0)
    pending.release("a")
    pending.forget("b")
    await waiting
    assert pending.names() == ["a"]


async def test_what_was_lost_is_waited_for_again() -> None:
    pending = Pending()
    pending.add("a")
    pending.add("b")
    pending.add("b")
    waiting = asyncio.ensure_future(pending.wait(()))
    await asyncio.sleep(0)
    pending.confirm("a")
    pending.restart("ab")
    pending.confirm("b")
    await asyncio.sleep(0)
    assert not waiting.done()
    pending.confirm("a")
    await waiting


async def test_one_who_gives_up_is_forgotten() -> None:
    pending = Pending()
    pending.add("a")
    waiting = asyncio.ensure_future(pending.wait(()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    pending.confirm("a")


async def test_an_answer_is_no_matter_of_those_who_wait_for_others() -> None:
    """With work for all of them at each answer, this would take minutes."""
    pending = Pending()
    names = [f"user:{number}" for number in range(30_000)]
    for name in names:
        pending.add(name)
    waiting = [asyncio.ensure_future(pending.wait([name])) for name in names]
    await asyncio.sleep(0)
    pending.restart(names[:10])
    for name in names:
        pending.confirm(name)
    await asyncio.gather(*waiting)
    assert pending._waiters == {}
