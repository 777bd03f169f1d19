from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from django_bolt.auth import IsStaff
from django_bolt.endpoints import rechecks
from django_bolt.endpoints.rechecks import request_rechecks
from django_bolt.endpoints.watch import Watch
from tests.endpoints.watched import until, watched


@pytest.fixture
def rechecked(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """What was rechecked; it takes a turn of the loop."""
    done: list[Watch] = []

    async def recheck(watch: Watch) -> None:
        assert not running, "one after the other"
        running.append(watch)
        await asyncio.sleep(0)
        running.remove(watch)
        done.append(watch)

    running: list[Watch] = []
    monkeypatch.setattr(Watch, "recheck", recheck)
    return done


def make(*guards: Any) -> Watch:
    return watched(guards=guards)[1]


async def test_each_is_rechecked_once_however_often_it_is_requested(rechecked: list[Watch]) -> None:
    watches = [make(IsStaff()) for _ in range(3)]
    for _ in range(5):
        request_rechecks(watches)
    await until(lambda: not rechecks._due)
    assert rechecked == watches


async def test_one_without_guards_that_follow_its_user_is_not(rechecked: list[Watch]) -> None:
    request_rechecks([make()])
    assert rechecks._due == {}
    assert rechecked == []


async def test_a_change_while_it_is_rechecked_counts(rechecked: list[Watch]) -> None:
    watch = make(IsStaff())
    request_rechecks([watch])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rechecked == []
    request_rechecks([watch])
    await until(lambda: not rechecks._due)
    assert rechecked == [watch, watch]


async def test_requests_come_from_any_thread(rechecked: list[Watch]) -> None:
    watch = make(IsStaff())
    thread = threading.Thread(target=request_rechecks, args=[[watch]])
    thread.start()
    await until(lambda: rechecked)
    thread.join()


async def test_after_an_error_of_ours_the_next_request_starts_anew(
    rechecked: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = make(IsStaff())
    with monkeypatch.context() as patch:

        async def cancelled(_: Watch) -> None:
            raise asyncio.CancelledError

        patch.setattr(Watch, "recheck", cancelled)
        request_rechecks([watch])
        await until(lambda: not rechecks._due)
    request_rechecks([watch])
    await until(lambda: rechecked)


def test_a_loop_that_is_gone_is_forgotten(rechecked: list[Watch]) -> None:
    async def make_later() -> Watch:
        return make(IsStaff())

    request_rechecks([asyncio.run(make_later())])
    request_rechecks([asyncio.run(make_later())])
    assert len(rechecks._due) == 1
    request_rechecks([])
    assert rechecks._due == {}
    assert rechecked == []
