from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation

from django_bolt.auth import AuthResult
from django_bolt.auth.identity import Identity
from django_bolt.auth.user_state import UserState
from tests.auth.accounts import Somebody, amake_user, make_user


def identify(**fields: object) -> Identity:
    return Identity(Somebody(), AuthResult(**fields))  # type: ignore[arg-type]


def test_it_keeps_what_the_authentication_says() -> None:
    identity = identify(user_id="42", permissions=["a.b"], expires_at=7.0, session="mark")
    assert (identity.user_id, identity.key, identity.session) == ("42", "42", "mark")
    assert (identity.permissions, identity.expires_at) == (frozenset({"a.b"}), 7.0)
    assert repr(identity) == "<Identity of user 42 by Somebody>"


def test_it_may_name_nobody() -> None:
    assert identify(user_id=None).key is None


@pytest.mark.django_db
def test_the_user_is_loaded_once_when_first_looked_at(
    django_assert_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    user = make_user()
    identity = identify(user_id=user.pk)
    with django_assert_num_queries(0):
        lazy = identity.user
    with django_assert_num_queries(1):
        assert lazy == user
        assert lazy.username == "ann"
        assert identity.user == user


@pytest.mark.django_db(transaction=True)
async def test_on_an_event_loop_it_is_loaded_by_the_async_way_alone() -> None:
    user = await amake_user()
    identity = identify(user_id=user.pk)
    lazy = identity.user
    with pytest.raises(SynchronousOnlyOperation, match=r"await websocket\.auser\(\)"):
        lazy.username  # noqa: B018
    assert await identity.aload_user() == user
    assert lazy.username == "ann"
    assert identity.user is await identity.aload_user()


@pytest.mark.django_db(transaction=True)
async def test_loading_it_anew_replaces_it_and_what_was_known_of_it() -> None:
    user = await amake_user()
    identity = identify(user_id=user.pk, user=user)
    identity.granted = frozenset({"a.b"})
    state = identity.state
    assert state == UserState.of(user)
    user.is_staff = True
    await user.asave()
    await sync_to_async(identity.reload_user)()
    assert identity.user is not user
    assert identity.state != state
    assert identity.granted is None
    await user.adelete()
    await sync_to_async(identity.reload_user)()
    assert identity.user.is_anonymous
    assert identity.state is None


def test_renewed_credentials_are_taken_over_and_heard_of() -> None:
    identity = identify(user_id=7, permissions=["a.b"], expires_at=1.0)
    heard: list[float | None] = []
    identity.on_renewal = lambda: heard.append(identity.expires_at)
    identity.take(AuthResult(7, expires_at=2.0))
    assert (identity.permissions, heard) == (None, [2.0])
    assert identity.is_same_user(AuthResult("7"))
    assert not identity.is_same_user(AuthResult(8))
    assert not identify(user_id=None).is_same_user(AuthResult(None))


@pytest.mark.django_db(transaction=True)
async def test_a_user_that_does_not_exist_is_anonymous() -> None:
    identity = identify(user_id=10**6)
    assert (await identity.aload_user()).is_anonymous


def test_a_user_that_is_known_is_not_loaded() -> None:
    user = User(pk=7, username="ann")
    assert identify(user_id=7, user=user).user is user
