from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import alogout
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.test import Client, RequestFactory, TestCase, override_settings

from django_bolt.auth.session import session_mark
from django_bolt.auth.user_state import UserState
from django_bolt.endpoints import user_signals
from django_bolt.endpoints.user_events import LoggedOut, PermissionsChanged, UserDeleted, UserEvent, UserSaved
from tests.auth.accounts import grant, log_in, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, user: User, group: Group) -> list[UserEvent]:
    """What is announced."""
    announced: list[UserEvent] = []
    monkeypatch.setattr(user_signals, "announce", announced.append)
    return announced


@pytest.fixture
def user(transactional_db: None) -> User:
    return make_user()


@pytest.fixture
def group(transactional_db: None) -> Group:
    return Group.objects.create(name="viewers")


def changed(*users: User) -> PermissionsChanged:
    return PermissionsChanged([str(user.pk) for user in users])


# ── saving and deleting ──────────────────────────────────────────────────────────────────────────────────


def test_saving_a_user_says_what_it_is_now(user: User, events: list[Any]) -> None:
    user.is_active = False
    user.save()
    assert events == [UserSaved(str(user.pk), UserState.of(user), False)]
    assert events[0].state.is_active is False


def test_setting_a_password_is_said(user: User, events: list[Any]) -> None:
    user.set_password("new")
    user.save(update_fields=["password"])
    user.save()
    assert [event.has_new_password for event in events] == [True, False]
    assert events[0].state == UserState(password=UserState.of(user).password)


def test_a_password_that_is_set_and_not_saved_is_not(user: User, events: list[Any]) -> None:
    user.set_password("new")
    user.save(update_fields=["is_active"])
    assert [event.has_new_password for event in events] == [False]


def test_an_upgraded_hash_of_the_same_password_is_no_new_password(user: User, events: list[Any]) -> None:
    User.objects.filter(pk=user.pk).update(password="pbkdf2_sha256$1$salt$x")
    user.refresh_from_db()
    user.password = "plain"
    user.save(update_fields=["password"])
    assert [event.has_new_password for event in events] == [False]


def test_what_is_of_no_concern_is_not_said(user: User, events: list[Any]) -> None:
    user.save(update_fields=["last_login"])
    log_in(user)
    make_user("bob")
    assert events == []


def test_a_proxy_of_the_user_model_is_heard(events: list[Any]) -> None:
    models = {sender[0][1] for sender in post_save.receivers if sender[0][0] == "django_bolt.user_saved"}
    assert models == {id(User)}
    assert list(user_signals._user_models()) == [User]


def test_deleting_a_user_is_said(user: User, events: list[Any]) -> None:
    key = str(user.pk)
    User.objects.filter(pk=user.pk).delete()
    assert events == [UserDeleted(key)]


def test_other_models_are_deleted_as_quickly_as_before() -> None:
    assert not post_delete.has_listeners(Session)
    assert not post_save.has_listeners(Session)


# ── permissions ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_users_own_permissions(user: User, events: list[Any]) -> None:
    grant(user, "view_user")
    grant(user, "view_user")
    user.user_permissions.clear()
    assert events == [changed(user)] * 2


def test_a_users_groups(user: User, group: Group, events: list[Any]) -> None:
    user.groups.add(group)
    user.groups.remove(group)
    user.groups.set([group])
    user.groups.clear()
    assert events == [changed(user)] * 4


def test_a_groups_users(user: User, group: Group, events: list[Any]) -> None:
    other = make_user("bob")
    group.user_set.add(user, other)
    group.user_set.remove(other)
    group.user_set.clear()
    assert [sorted(event.users or []) for event in events] == [
        sorted([str(user.pk), str(other.pk)]),
        [str(other.pk)],
        [],
    ]
    assert events[2] == PermissionsChanged(None)


def test_a_groups_permissions(group: Group, events: list[Any]) -> None:
    permission = Permission.objects.filter(codename="view_user").get()
    group.permissions.add(permission)
    group.permissions.remove(permission)
    group.permissions.clear()
    group.delete()
    permission.delete()
    assert events == [PermissionsChanged(None)] * 5


# ── logging out ──────────────────────────────────────────────────────────────────────────────────────────


def request_of(client: Client, user: Any) -> Any:
    request = RequestFactory().post("/")
    request.session = client.session  # type: ignore[assignment]
    if user is not None:
        request.user = user
    return request


def test_logging_out_says_which_session(user: User, events: list[Any]) -> None:
    client = log_in(user)
    mark = session_mark(client.session, user.pk)
    client.logout()
    assert events == [LoggedOut(str(user.pk), mark)]


@pytest.mark.parametrize("as_known", [True, False])
def test_so_does_logging_out_asynchronously(user: User, events: list[Any], as_known: bool) -> None:
    client = log_in(user)
    mark = session_mark(client.session, user.pk)
    request = request_of(client, None)
    if as_known:

        async def auser() -> User:
            return user

        request.auser = auser
    async_to_sync(alogout)(request)
    assert events == [LoggedOut(str(user.pk), mark)]


def test_logging_out_without_having_logged_in_is_nothing(user: User, events: list[Any]) -> None:
    client = Client()
    client.session  # noqa: B018 - makes one
    from django.contrib.auth import logout

    for session in (client.session, SessionStore()):
        request = request_of(client, AnonymousUser())
        request.session = session
        logout(request)
    assert events == []


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────


def change_everything(user: User, group: Group) -> None:
    log_in(user).logout()
    user.set_password("new")
    user.save()
    user.groups.add(group)
    group.permissions.add(Permission.objects.get(codename="view_user"))
    user.delete()


def test_an_event_waits_for_its_transaction(user: User, group: Group, events: list[Any]) -> None:
    with transaction.atomic():
        change_everything(user, group)
        assert events == []
    assert [type(event).__name__ for event in events] == [
        "LoggedOut",
        "UserSaved",
        "PermissionsChanged",
        "PermissionsChanged",
        "UserDeleted",
    ]


def test_what_is_rolled_back_is_not_said(user: User, group: Group, events: list[Any]) -> None:
    with transaction.atomic():
        change_everything(user, group)
        transaction.set_rollback(True)
    assert events == []


def test_in_a_test_case_the_callbacks_are_captured(user: User, events: list[Any]) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
        user.save()
        assert events == []
    assert len(events) == 1


@override_settings(
    BOLT={
        "CLOSE_ON_LOGOUT": False,
        "CLOSE_ON_PASSWORD_CHANGE": False,
        "CLOSE_ON_DEACTIVATION": False,
        "CLOSE_ON_PERMISSION_LOSS": False,
    }
)
def test_what_closes_nothing_is_not_said(user: User, group: Group, events: list[Any]) -> None:
    change_everything(user, group)
    assert events == []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("CLOSE_ON_LOGOUT", ["UserSaved", "PermissionsChanged", "PermissionsChanged", "UserDeleted"]),
        ("CLOSE_ON_DEACTIVATION", ["LoggedOut", "UserSaved", "PermissionsChanged", "PermissionsChanged"]),
        ("CLOSE_ON_PERMISSION_LOSS", ["LoggedOut", "UserSaved", "UserDeleted"]),
    ],
)
def test_each_setting_counts(
    user: User, group: Group, events: list[Any], setting: str, expected: list[str]
) -> None:
    with override_settings(BOLT={setting: False}):
        change_everything(user, group)
    assert [type(event).__name__ for event in events] == expected
