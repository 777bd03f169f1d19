from __future__ import annotations

import pytest

from django_bolt.auth.identity import Identity
from django_bolt.auth.session import ANY_SESSION
from django_bolt.auth.user_state import UserState
from django_bolt.endpoints import recent_events as module
from django_bolt.endpoints.recent_events import RecentEvents
from django_bolt.endpoints.user_events import (
    LoggedOut,
    PermissionsChanged,
    UserDeleted,
    UserEvent,
    UserSaved,
)
from tests.endpoints.watched import identified


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def recent(clock: Clock) -> RecentEvents:
    return RecentEvents()


def identity(user_id: int = 7, session: str | None = None) -> Identity:
    found = identified(user_id=user_id, session=session).identity
    assert found is not None
    return found


@pytest.mark.parametrize(
    "event",
    [
        UserDeleted("7"),
        UserSaved("7", UserState(), True),
        LoggedOut("7", "another session"),
        PermissionsChanged(["6", "7"]),
        PermissionsChanged(None),
    ],
)
def test_what_happens_during_authentication_is_told(
    recent: RecentEvents, clock: Clock, event: UserEvent
) -> None:
    began = recent.begin()
    recent.note(event)
    assert list(recent.since(began, identity())) == [event]
    clock.now += 1
    assert list(recent.since(recent.begin(), identity())) == []


@pytest.mark.parametrize("event", [UserDeleted("8"), PermissionsChanged(["8"]), PermissionsChanged([])])
def test_what_happens_to_others_is_not(recent: RecentEvents, event: UserEvent) -> None:
    began = recent.begin()
    recent.note(event)
    assert list(recent.since(began, identity())) == []


def test_the_end_of_a_session_is_remembered_for_a_while(recent: RecentEvents, clock: Clock) -> None:
    ended = LoggedOut("7", "mark")
    recent.note(ended)
    clock.now += module.ENDED_TIME - 1
    assert list(recent.since(recent.begin(), identity(session="mark"))) == [ended]
    assert list(recent.since(recent.begin(), identity(session="other"))) == []
    assert list(recent.since(recent.begin(), identity())) == []
    clock.now += 2
    recent.note(LoggedOut("8", "other"))
    assert list(recent._ended) == ["other"]


def test_a_mark_that_the_next_session_has_too_is_not_remembered(recent: RecentEvents, clock: Clock) -> None:
    recent.note(LoggedOut("7", f"{ANY_SESSION}7"))
    clock.now += 1
    assert list(recent.since(recent.begin(), identity(session=f"{ANY_SESSION}7"))) == []


def test_not_more_is_remembered_than_there_is_room_for(recent: RecentEvents) -> None:
    for _ in range(module.KEPT + 10):
        recent.note(UserDeleted("7"))
    assert len(recent._events) == module.KEPT
