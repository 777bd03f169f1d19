from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from django.test import override_settings

from django_bolt import WebSocket
from django_bolt.auth import AuthResult, BaseAuthentication, BaseGuard, IsAuthenticated, IsStaff
from django_bolt.endpoints import watch as watch_module
from tests.auth.accounts import amake_user
from tests.endpoints.watched import settle, until, watched

SOON = 0.01


class Renewing(BaseAuthentication):
    """Answer a renewal as told."""

    expiry_reason = "over"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def renew(self, websocket: WebSocket) -> AuthResult | None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer  # type: ignore[no-any-return]


class Says(BaseGuard):
    follows_user = True
    asked = 0

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer

    async def has_permission(self, websocket: WebSocket) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_at_expiry_the_connection_is_closed_with_the_reason_of_its_authentication() -> None:
    expires_at = time.time() + SOON
    websocket, watch = watched(Renewing(None), expires_at=expires_at)
    watch.begin()
    await until(lambda: websocket.closed)
    assert websocket.closed == (4401, "over")
    assert time.time() >= expires_at


@pytest.mark.parametrize("expires_at", [1e9, 0, -1, -float("inf"), float("nan")])
async def test_what_has_expired_already_is_closed_at_once(expires_at: float) -> None:
    websocket, watch = watched(expires_at=expires_at)
    watch.begin()
    await until(lambda: websocket.closed)
    assert websocket.closed == (4401, "credentials expired")


@pytest.mark.parametrize("expires_at", [None, 2.0**53, 4e9])
async def test_what_does_not_expire_for_long_is_left_alone(expires_at: float | None) -> None:
    websocket, watch = watched(expires_at=expires_at)
    watch.begin()
    await settle()
    assert websocket.closed is None
    watch.end()


async def test_a_far_expiry_is_reached_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LONGEST_TIMER", 0.002)
    websocket, watch = watched(expires_at=time.time() + 0.02)
    watch.begin()
    await until(lambda: websocket.closed)


async def test_a_watch_that_has_ended_closes_nothing() -> None:
    websocket, watch = watched(expires_at=time.time())
    watch.begin()
    watch.end()
    await settle()
    assert websocket.closed is None


@override_settings(BOLT={"CLOSE_ON_EXPIRY": False})
async def test_a_setting_switches_it_off() -> None:
    websocket, watch = watched(expires_at=time.time() - 1)
    watch.begin()
    await settle()
    assert websocket.closed is None


async def test_an_authentication_may_find_that_the_client_may_stay() -> None:
    later = AuthResult("7", expires_at=2.0**40)
    websocket, watch = watched(Renewing(later), expires_at=time.time())
    watch.begin()
    await until(lambda: watch.identity.expires_at == later.expires_at)
    await settle()
    assert websocket.closed is None
    watch.end()


async def test_what_it_found_expires_too() -> None:
    renewing = Renewing(lambda: AuthResult("7", expires_at=time.time() + SOON), None)
    websocket, watch = watched(renewing, expires_at=time.time() - 1)
    watch.begin()
    await until(lambda: websocket.closed)
    assert renewing.answers == []


@pytest.mark.parametrize(
    "answer",
    [AuthResult(8, expires_at=2.0**40), AuthResult(None), lambda: AuthResult(7, expires_at=time.time() - 1)],
)
async def test_it_may_not_for_another_user_or_if_that_has_expired_too(answer: Any) -> None:
    websocket, watch = watched(Renewing(answer), expires_at=time.time())
    watch.begin()
    await until(lambda: websocket.closed)
    assert websocket.closed == (4401, "over")


async def test_credentials_that_come_while_it_looks_count() -> None:
    renewing = Renewing()
    websocket, watch = watched(renewing, expires_at=time.time())

    def renewed_meanwhile() -> None:
        watch.identity.take(AuthResult(7, expires_at=2.0**40))

    renewing.answers.append(renewed_meanwhile)
    watch.begin()
    await until(lambda: not renewing.answers)
    await settle()
    assert websocket.closed is None
    watch.end()


async def test_where_nobody_knows_the_client_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    websocket, watch = watched(Renewing(ZeroDivisionError("down")), expires_at=time.time())
    watch.begin()
    await until(lambda: websocket.closed)
    assert websocket.closed == (1013, "authentication unavailable")
    assert "renewing it failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_renewed_identity_winds_the_clock_up_again() -> None:
    websocket, watch = watched(expires_at=2.0**40)
    watch.begin()
    watch.identity.take(AuthResult(7, expires_at=time.time() + SOON))
    await until(lambda: websocket.closed)
    watch.end()
    watch.identity.take(AuthResult(7, expires_at=time.time() + SOON))  # heard by nobody


# ── closing ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_is_closed_from_any_thread() -> None:
    websocket, watch = watched()
    thread = threading.Thread(target=watch.close, args=[4401, "logged out"])
    thread.start()
    await until(lambda: websocket.closed)
    thread.join()
    assert websocket.closed == (4401, "logged out")


async def test_one_that_has_ended_is_left_alone() -> None:
    websocket, watch = watched(expires_at=time.time())
    websocket.leave()
    assert watch.websocket is None
    watch.begin()
    watch.close(4401, "logged out")
    await watch.recheck()
    await settle()
    assert websocket.closed is None


def test_a_loop_that_is_gone_is_no_error() -> None:
    async def make() -> Any:
        return watched()

    _, watch = asyncio.run(make())
    watch.close(4401, "logged out")


async def test_it_keeps_no_connection_alive() -> None:
    websocket, watch = watched(expires_at=2.0**40)
    watch.begin()
    gone = weakref.ref(websocket)
    del websocket
    gc.collect()
    assert gone() is None
    watch.close(4401, "logged out")
    await settle()
    watch.end()


# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_guards_that_follow_the_user_are_kept() -> None:
    assert watched(guards=[IsAuthenticated(), IsAuthenticated() | ~IsAuthenticated()])[1].guards == ()
    assert len(watched(guards=[IsAuthenticated(), IsStaff() | IsAuthenticated()])[1].guards) == 2


@pytest.mark.django_db(transaction=True)
async def test_guards_are_asked_about_the_user_as_it_is_now() -> None:
    user = await amake_user(is_staff=True)
    websocket, watch = watched(guards=[IsStaff()], user_id=user.pk, user=user)
    await watch.recheck()
    assert websocket.closed is None
    await type(user).objects.filter(pk=user.pk).aupdate(is_staff=False)
    await watch.recheck()
    await until(lambda: websocket.closed)
    assert websocket.closed == (4403, "permission lost")
    assert not (await websocket.auser()).is_staff


@pytest.mark.django_db(transaction=True)
async def test_those_that_do_not_follow_the_user_are_not_asked_again() -> None:
    once, again = Says(False), Says(True)
    once.follows_user = False
    websocket, watch = watched(guards=[once, again])
    await watch.recheck()
    assert (once.asked, again.asked) == (0, 1)
    assert websocket.closed is None


@pytest.mark.django_db(transaction=True)
async def test_a_guard_that_fails_closes_so_that_the_client_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    websocket, watch = watched(guards=[Says(ZeroDivisionError())])
    await watch.recheck()
    await until(lambda: websocket.closed)
    assert websocket.closed == (1013, "authentication unavailable")
    assert "asking its guards again failed" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_what_the_context_says_of_permissions_is_not_left_behind() -> None:
    user = await amake_user()
    websocket, watch = watched(guards=[Says(True)], user_id=user.pk)
    websocket.context["permissions"] = frozenset({"old"})
    await watch.recheck()
    assert websocket.context["permissions"] is None
    websocket, watch = watched(guards=[Says(True)], user_id=user.pk, permissions=["token's"])
    await watch.recheck()
    assert websocket.context["permissions"] == {"token's"}
