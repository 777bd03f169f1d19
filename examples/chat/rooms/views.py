"""The pages: plain Django, served by runbolt on the same port as the WebSocket endpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from .models import NAME_LENGTH, TEXT_LENGTH, Room

TOKEN_LIFETIME = timedelta(minutes=5)


def index(request: HttpRequest) -> HttpResponse:
    """Show the rooms."""
    return render(request, "rooms/index.html", {"rooms": Room.objects.all()})


def room(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one room; a room for members leads strangers to the log-in page."""
    found = get_object_or_404(Room, slug=slug)
    if found.members_only and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    context = {
        "room": found,
        "name_length": NAME_LENGTH,
        "text_length": TEXT_LENGTH,
        "config": page_config(request, found),
    }
    return render(request, "rooms/room.html", context)


def page_config(request: HttpRequest, room: Room) -> dict[str, str | None]:
    """Return what ``room.js`` needs to know; a members' room comes with a name and wants a token."""
    if room.members_only:
        name, token_url = request.user.get_username(), reverse("token")
    else:
        name, token_url = None, None
    return {"socketPath": room.socket_path, "name": name, "tokenUrl": token_url}


@never_cache
@login_required
def token(request: HttpRequest) -> JsonResponse:
    """Hand the page a token that opens a members' room in the next minutes."""
    claims = {
        "user_id": request.user.pk,
        "username": request.user.get_username(),
        "exp": datetime.now(UTC) + TOKEN_LIFETIME,
    }
    return JsonResponse({"token": jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")})
