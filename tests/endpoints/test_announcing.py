from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from django_bolt import BrokerUnavailable, recheck_user
from django_bolt.auth.user_state import UserState
from django_bolt.endpoints import announcing
from django_bolt.endpoints.announcing import announce, catch_up, recent_events, take_event
from django_bolt.endpoints.connected_users import ConnectedUsers
from django_bolt.endpoints.user_events import (
    LoggedOut,
    PermissionsChanged,
    UserDeleted,
    UserEvent,
    UserSaved,
)
from django_bolt.endpoints.watch import Watch
from django_bolt.topics import control
from tests.endpoints.watched import identified, settle, watched
from tests.memory_connection import MemoryConnection

LOGGED_OUT, PASSWORD = (4401, "logged out"), (4401, "password changed")
DEACTIVATED, DELETED = (4401, "user deactivated"), (4401, "user deleted")

Connect = Callable[..., MemoryConnection]


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> ConnectedUsers:
    users = ConnectedUsers()
    monkeypatch.setattr(announcing, "connected_users", users)
    return users


@pytest.fixture
async def connect(users: ConnectedUsers) -> AsyncIterator[Connect]:
    """Connect a user, until the end of the test."""
    connections = []

    def connect(**fields: Any) -> MemoryConnection:
        websocket = identified(**fields)
        users.add(websocket, [])
        connections.append(websocket)
        return websocket

    yield connect
    for watch in users.all_watches():
        watch.end()


@pytest.fixture
def rechecked(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """What is asked to be rechecked."""
    requested: list[Watch] = []
    monkeypatch.setattr(announcing, "request_rechecks", requested.extend)
    return requested


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What other processes are told."""
    events: list[Any] = []

    def tell_others(kind: str, **data: Any) -> None:
        events.append((kind, data))

    monkeypatch.setattr(announcing, "tell_others", tell_others)
    return events


async def closed(*websockets: MemoryConnection) -> list[Any]:
    await settle()
    return [websocket.closed for websocket in websockets]


def saved(is_new: bool = False, **state: Any) -> UserSaved:
    return UserSaved("7", UserState(**state), is_new)


@pytest.mark.parametrize(
    "event",
    [
        LoggedOut("7", "mark"),
        saved(True, password="p", is_active=False),
        UserDeleted("7"),
        PermissionsChanged(["7"]),
        PermissionsChanged(None),
    ],
)
def test_other_processes_are_told_and_take_it_for_the_same(
    event: UserEvent, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(event)
    [(kind, data)] = told
    taken: list[Any] = []
    monkeypatch.setattr(announcing, "take_event", taken.append)
    hub: Any = None
    control._handlers[kind](hub, msgspec.msgpack.decode(msgspec.msgpack.encode(data)))
    assert taken == [event]


async def test_a_broker_that_is_away_keeps_nobody_here_from_hearing(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(kind: str, **data: Any) -> None:
        raise BrokerUnavailable("redis://localhost", "away")

    monkeypatch.setattr(announcing, "tell_others", fail)
    websocket = connect()
    announce(UserDeleted("7"))
    assert await closed(websocket) == [DELETED]
    assert "Other processes do not learn of it: UserDeleted of user 7" in caplog.text


async def test_logging_out_closes_the_session(connect: Connect) -> None:
    session, token = connect(session="mark"), connect()
    others = connect(session="other"), connect(user_id=8, session="mark")
    announce(LoggedOut("7", "mark"))
    assert await closed(session, token, *others) == [LOGGED_OUT, None, None, None]


@pytest.mark.parametrize(("setting", "reason"), [(False, None), ("user", LOGGED_OUT)])
async def test_a_setting_says_what_logging_out_closes(connect: Connect, setting: Any, reason: Any) -> None:
    session, token, other = connect(session="mark"), connect(), connect(user_id=8)
    with override_settings(BOLT={"CLOSE_ON_LOGOUT": setting}):
        announce(LoggedOut("7", "mark"))
    assert await closed(session, token, other) == [reason, reason, None]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (saved(is_active=False), DEACTIVATED),
        (saved(is_active=False, password="new"), DEACTIVATED),
        (saved(True, password="old"), PASSWORD),
        (saved(password="new"), PASSWORD),
        (saved(password="old", is_active=True, is_staff=True), None),
        (saved(), None),
        (UserDeleted("7"), DELETED),
    ],
)
async def test_what_happens_to_a_user_that_is_known(connect: Connect, event: UserEvent, reason: Any) -> None:
    websocket, other = connect(), connect(user_id=8)
    assert websocket.identity is not None
    websocket.identity.state = UserState(password="old", is_active=True, is_staff=True)
    announce(event)
    assert await closed(websocket, other) == [reason, None]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (saved(is_active=False), DEACTIVATED),
        (saved(is_active=True), None),
        (saved(True, password="new"), PASSWORD),
        (saved(password="new"), None),
        (UserDeleted("7"), DELETED),
    ],
)
async def test_what_happens_to_one_that_was_never_loaded(
    connect: Connect, event: UserEvent, reason: Any
) -> None:
    assert await closed(connect()) == [None]
    websocket = connect()
    announce(event)
    assert await closed(websocket) == [reason]


async def test_one_that_was_let_in_though_deactivated_may_stay(connect: Connect) -> None:
    websocket = connect()
    assert websocket.identity is not None
    websocket.identity.state = UserState(is_active=False)
    announce(saved(is_active=False))
    assert await closed(websocket) == [None]


@pytest.mark.parametrize(
    ("setting", "event"),
    [
        ("CLOSE_ON_DEACTIVATION", saved(is_active=False)),
        ("CLOSE_ON_DEACTIVATION", UserDeleted("7")),
        ("CLOSE_ON_PASSWORD_CHANGE", saved(True, password="new")),
    ],
)
async def test_each_has_a_setting(connect: Connect, setting: str, event: UserEvent) -> None:
    websocket = connect()
    with override_settings(BOLT={setting: False}):
        announce(event)
    assert await closed(websocket) == [None]


@pytest.mark.parametrize(
    ("event", "user_ids"),
    [
        (PermissionsChanged(["7", "9"]), [7, 7]),
        (PermissionsChanged(None), [7, 7, 8]),
        (PermissionsChanged([]), []),
        (saved(is_staff=False), [7]),
        (saved(is_superuser=True), [7]),
        (saved(is_staff=True, is_superuser=False), []),
    ],
)
async def test_a_change_of_permissions_has_guards_asked_again(
    connect: Connect, rechecked: list[Watch], event: UserEvent, user_ids: list[int]
) -> None:
    known = connect()
    assert known.identity is not None
    known.identity.state = UserState(is_staff=True, is_superuser=False)
    connect()
    connect(user_id=8)
    announce(event)
    assert sorted(watch.identity.user_id for watch in rechecked) == user_ids


@override_settings(BOLT={"CLOSE_ON_PERMISSION_LOSS": False})
async def test_a_setting_has_no_guard_asked_again(connect: Connect, rechecked: list[Watch]) -> None:
    connect()
    announce(PermissionsChanged(None))
    assert rechecked == []


# ── what happened meanwhile ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("event", [LoggedOut("7", "mark"), UserDeleted("7")])
async def test_what_happened_during_authentication_counts(event: UserEvent) -> None:
    since = recent_events.begin()
    take_event(event)
    websocket, watch = watched(session="mark")
    catch_up(watch, since)
    await settle()
    assert websocket.closed is not None


async def test_a_change_of_permissions_meanwhile_has_guards_asked_again(rechecked: list[Watch]) -> None:
    since = recent_events.begin()
    announce(PermissionsChanged(["7"]))
    _, watch = watched()
    catch_up(watch, since)
    assert rechecked == [watch]


# ── by the application ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("user", [7, "7", User(pk=7)])
async def test_an_application_has_guards_asked_again(
    connect: Connect, told: list[Any], rechecked: list[Watch], user: Any
) -> None:
    websocket = connect()
    recheck_user(user)
    assert [watch.identity for watch in rechecked] == [websocket.identity]
    assert told == [("user_event", {"event": {"type": "PermissionsChanged", "users": ["7"]}})]


async def test_many_threads_may_announce_at_once(connect: Connect) -> None:
    websockets = [connect() for _ in range(20)]
    await asyncio.gather(*(asyncio.to_thread(announce, LoggedOut("7", str(number))) for number in range(20)))
    await asyncio.to_thread(announce, UserDeleted("7"))
    assert await closed(*websockets) == [DELETED] * 20
