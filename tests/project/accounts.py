"""What a site does to its users, each by a POST request: how it does so is what sockets must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

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
