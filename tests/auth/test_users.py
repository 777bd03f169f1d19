from __future__ import annotations

import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.test import modify_settings, override_settings

from django_bolt.auth.users import anonymous_user, check_may_block, find_user, has_users, user_key
from tests.auth.accounts import make_user

ALL_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
NOBODY: list[Any] = [
    None,
    "",
    "ann",
    "1.5",
    "\0",
    "1\0",
    "\ud800",
    "9" * 5000,
    2**70,
    -1,
    0,
    True,
    1.5,
    [1],
    {"pk": 1},
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
]


def test_a_user_has_one_key_whatever_the_type_of_its_id() -> None:
    assert user_key(42) == user_key("42") == "42"


def test_another_name_is_its_own_key() -> None:
    assert user_key("warehouse") == "warehouse"
    assert user_key(True) != user_key(1)


@pytest.mark.django_db
@pytest.mark.parametrize("as_type", [int, str])
def test_a_user_is_found_by_its_primary_key(as_type: Any) -> None:
    user = make_user()
    assert find_user(as_type(user.pk)) == user


@pytest.mark.django_db
@pytest.mark.parametrize("user_id", NOBODY, ids=repr)
def test_an_id_that_no_user_has_finds_nobody(user_id: Any) -> None:
    make_user()
    assert find_user(user_id) is None


@pytest.mark.django_db
def test_a_deactivated_user_is_found_only_where_the_backends_let_it_in() -> None:
    user = make_user(is_active=False)
    assert find_user(user.pk) is None
    with override_settings(AUTHENTICATION_BACKENDS=ALL_BACKENDS):
        assert find_user(user.pk) == user


def test_a_client_that_nobody_knows_is_anonymous() -> None:
    assert anonymous_user().is_anonymous


@modify_settings(INSTALLED_APPS={"remove": ["django.contrib.auth", "django.contrib.admin"]})
def test_without_django_contrib_auth_there_are_no_users() -> None:
    assert not has_users()
    assert user_key("042") == "042"
    with pytest.raises(ImproperlyConfigured, match=r"needs 'django\.contrib\.auth' in INSTALLED_APPS"):
        anonymous_user()


async def test_blocking_is_refused_on_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SynchronousOnlyOperation, match=r"await websocket\.auser\(\)"):
        check_may_block()
    await sync_to_async(check_may_block)()
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    check_may_block()
