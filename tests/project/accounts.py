"""What a site does to its users, each by a POST request: how it does so is what sockets must notice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_bolt import disconnect_user, recheck_user

ACTIONS: dict[str, Callable[[HttpRequest, User], Any]] = {}


def action(function: Callable[[HttpRequest, User], Any]) -> Callable[[HttpRequest, User], Any]:
    """Offer an action under its name."""
    ACTIONS[function.__name__] = function
    return function


@csrf_exempt
@require_POST
def act(request: HttpRequest, name: str) -> JsonResponse:
    """Do something to the user that the form names, which is made if there is none of this name."""
    user, is_new = User.objects.get_or_create(username=request.POST["username"])
    if is_new:
        user.set_password("first")
        user.save()
    return JsonResponse({"result": ACTIONS[name](request, user), "pk": user.pk})


@action
def make(request: HttpRequest, user: User) -> None:
    """Set the status and the permissions that the form says, ``group`` being a group with ``view_user``."""
    view = Permission.objects.get(content_type__app_label="auth", codename="view_user")
    for field in ("is_staff", "is_superuser"):
        setattr(user, field, field in request.POST)
    user.save()
    user.user_permissions.set([view] if "view_user" in request.POST else [])
    user.groups.clear()
    if "group" in request.POST:
        group = Group.objects.get_or_create(name=request.POST["group"])[0]
        group.permissions.add(view)
        user.groups.add(group)


@action
def log_in(request: HttpRequest, user: User) -> None:
    """Log in."""
    known = authenticate(request, username=user.username, password="first")
    assert known is not None
    login(request, known)


@action
def log_out(request: HttpRequest, user: User) -> None:
    """Log out."""
    logout(request)


@action
def change_password(request: HttpRequest, user: User) -> None:
    """Change the password as the view of Django does: this session goes on."""
    user.set_password("second")
    user.save()
    update_session_auth_hash(request, user)


@action
def set_first_password(request: HttpRequest, user: User) -> None:
    """Set the password that it has."""
    user.set_password("first")
    user.save()


@action
def save(request: HttpRequest, user: User) -> None:
    """Save the user as it is."""
    user.save()


@action
def deactivate(request: HttpRequest, user: User) -> None:
    """Deactivate the user."""
    user.is_active = False
    user.save(update_fields=["is_active"])


@action
def delete(request: HttpRequest, user: User) -> None:
    """Delete the user."""
    user.delete()


@action
def degrade(request: HttpRequest, user: User) -> None:
    """Take the user's status."""
    user.is_staff = user.is_superuser = False
    user.save()


@action
def take_permission(request: HttpRequest, user: User) -> None:
    """Take the user's own permissions."""
    user.user_permissions.clear()


@action
def leave_group(request: HttpRequest, user: User) -> None:
    """Take the user out of its groups, from the groups' side."""
    for group in user.groups.all():
        group.user_set.remove(user)


@action
def weaken_group(request: HttpRequest, user: User) -> None:
    """Take the permissions of the user's groups."""
    for group in user.groups.all():
        group.permissions.clear()


@action
def delete_group(request: HttpRequest, user: User) -> None:
    """Delete the user's groups."""
    user.groups.all().delete()


@action
def take_quietly(request: HttpRequest, user: User) -> None:
    """Take the user's status by a query that sends no signal, then have its connections rechecked."""
    User.objects.filter(pk=user.pk).update(is_staff=False, is_superuser=False)
    recheck_user(user)


@action
def disconnect(request: HttpRequest, user: User) -> None:
    """Close the user's connections."""
    disconnect_user(user, 4000, "go away")


@action
def roll_back(request: HttpRequest, user: User) -> None:
    """Do everything to the user, in a transaction that is rolled back."""
    with suppress(ZeroDivisionError), transaction.atomic():
        change_password(request, user)
        deactivate(request, user)
        degrade(request, user)
        take_permission(request, user)
        weaken_group(request, user)
        user.delete()
        raise ZeroDivisionError
