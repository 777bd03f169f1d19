from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.db import models
from django.test.utils import isolate_apps

from django_bolt.auth.user_state import UserState


def user(**fields: Any) -> User:
    return User(pk=7, **{"password": "hashed", **fields})


def test_a_state_is_what_a_user_is() -> None:
    state = UserState.of(user(is_staff=True))
    assert (state.is_active, state.is_staff, state.is_superuser) == (True, True, False)
    assert state == UserState.of(user(is_staff=True))


def test_the_password_cannot_be_found_from_it() -> None:
    state = UserState.of(user())
    assert state.password is not None
    assert "hashed" not in repr(state)
    assert user().get_session_auth_hash() not in repr(state)
    assert state.password != UserState.of(user(password="other")).password


def test_what_was_not_saved_is_not_known() -> None:
    assert UserState.of(user(), ["last_login"]) == UserState()
    assert UserState.of(user(), ["is_active"]) == UserState(is_active=True)
    assert UserState.of(user(), ["is_staff", "email"]) == UserState(is_staff=False)


@pytest.mark.django_db
def test_what_was_not_loaded_is_not_known_and_not_loaded(django_assert_num_queries: Any) -> None:
    made = User.objects.create_user("ann")
    partial = User.objects.only("username", "is_active").get(pk=made.pk)
    with django_assert_num_queries(0):
        assert UserState.of(partial) == UserState(is_active=True)


@isolate_apps("django.contrib.auth")
def test_a_user_model_of_ones_own_may_compute_its_status() -> None:
    class Member(AbstractBaseUser):
        is_admin = models.BooleanField(default=False)

        @property
        def is_staff(self) -> bool:
            return self.is_admin

        class Meta:
            app_label = "auth"

    state = UserState.of(Member(pk=7, is_admin=True), ["is_admin"])
    assert state == UserState(is_active=True, is_staff=True, is_superuser=False)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"is_active": False}, set()),
        ({"is_active": True}, {}, set()),
        ({"is_active": True, "is_staff": True}, {"is_active": False, "is_staff": True}, {"is_active"}),
        (
            {"password": "a", "is_superuser": True},
            {"password": "b", "is_superuser": False},
            {"password", "is_superuser"},
        ),
    ],
)
def test_a_change_is_what_is_known_and_differs(
    before: dict[str, Any], after: dict[str, Any], changed: set[str]
) -> None:
    assert UserState(**before).changed(UserState(**after)) == changed


def test_it_is_plain_data() -> None:
    state = UserState.of(user())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=UserState) == state
