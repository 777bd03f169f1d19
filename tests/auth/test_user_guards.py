from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.test import modify_settings

from django_bolt.auth import (
    HasAllPermissions,
    HasAnyPermission,
    HasPermission,
    IsStaff,
    IsSuperuser,
    user_guards,
)
from tests.auth.accounts import agrant, amake_user, known

ADD, VIEW, CHANGE = "auth.add_user", "auth.view_user", "auth.change_user"
STATUS = [(IsStaff, "is_staff"), (IsSuperuser, "is_superuser")]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("guard", "field"), STATUS)
async def test_the_status_of_the_user_counts(guard: Any, field: str) -> None:
    with_status = await amake_user("ann", **{field: True})
    without = await amake_user("bob")
    assert await guard().has_permission(known(user_id=with_status.pk))
    assert not await guard().has_permission(known(user_id=without.pk))


@pytest.mark.parametrize(("guard", "field"), STATUS)
async def test_a_deactivated_user_has_no_status(guard: Any, field: str) -> None:
    user = await amake_user("ann", is_active=False, **{field: True})
    assert not await guard().has_permission(known(user_id=user.pk))
    assert not await guard().has_permission(known(user_id=user.pk, user=user))


@pytest.mark.parametrize("guard", [IsStaff(), IsSuperuser(), HasPermission(ADD), HasAnyPermission(ADD)])
async def test_who_is_no_user_has_nothing(guard: Any) -> None:
    assert not await guard.has_permission(known())
    assert not await guard.has_permission(known(user_id="warehouse"))
    assert not await guard.has_permission(known(user_id=10**6))


@pytest.mark.parametrize(
    ("guard", "allowed"),
    [
        (HasPermission(ADD), True),
        (HasPermission(CHANGE), False),
        (HasPermission("auth.no_such"), False),
        (HasPermission("add_user"), False),
        (HasAnyPermission(CHANGE, VIEW), True),
        (HasAnyPermission(CHANGE), False),
        (HasAllPermissions(ADD, VIEW), True),
        (HasAllPermissions(ADD, CHANGE), False),
    ],
    ids=repr,
)
async def test_permissions_are_those_of_djangos_backends(guard: Any, allowed: bool) -> None:
    user = await amake_user()
    await agrant(user, "add_user", "view_user")
    websocket = known(user_id=user.pk)
    assert await guard.has_permission(websocket) is allowed
    assert websocket.context["permissions"] == {ADD, VIEW}


async def test_a_superuser_has_every_permission() -> None:
    user = await amake_user(is_superuser=True)
    assert await HasAllPermissions(ADD, "nowhere.do_it").has_permission(known(user_id=user.pk))


@pytest.mark.parametrize(
    ("guard", "allowed"),
    [(HasPermission("post"), True), (HasPermission(ADD), False), (HasAnyPermission(ADD, "read"), True)],
    ids=repr,
)
async def test_permissions_of_the_credentials_count_alone(guard: Any, allowed: bool) -> None:
    user = await amake_user(is_superuser=True)
    assert await guard.has_permission(known(user_id=user.pk, permissions=["post", "read"])) is allowed


@pytest.mark.parametrize("guard", [HasPermission, HasAnyPermission, HasAllPermissions])
@pytest.mark.parametrize("names", [[""], [None], [[ADD, VIEW]]])
def test_names_must_be_text(guard: Any, names: Any) -> None:
    with pytest.raises(TypeError, match="takes names of permissions"):
        guard(*names)


@pytest.mark.parametrize("guard", [HasAnyPermission, HasAllPermissions])
def test_there_must_be_a_name(guard: Any) -> None:
    with pytest.raises(TypeError, match="takes names of permissions"):
        guard()


def test_what_the_project_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(IsStaff().find_problems()) == list(HasPermission(ADD).find_problems()) == []
    monkeypatch.setattr(user_guards, "get_user_model", lambda: AbstractBaseUser)
    [problem] = HasPermission(ADD).find_problems()
    assert "has_perm()" in problem
    with modify_settings(INSTALLED_APPS={"remove": ["django.contrib.auth", "django.contrib.admin"]}):
        [problem] = (IsStaff | IsSuperuser() & HasPermission(ADD)).parts[0].find_problems()
    assert problem == "IsStaff() needs 'django.contrib.auth' in INSTALLED_APPS"


async def test_an_anonymous_user_may_be_loaded() -> None:
    websocket = known(user_id=10**6)
    assert isinstance(await websocket.auser(), AnonymousUser)
    assert not await IsStaff().has_permission(websocket)
