"""The pages: plain Django, served by runbolt on the same port as the WebSocket endpoints."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from .models import NAME_LENGTH, TEXT_LENGTH, Room


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
    """Return what ``room.js`` needs to know; in a members' room, people go by their user name."""
    name = request.user.get_username() if room.members_only else None
    return {"socketPath": room.socket_path, "name": name}
