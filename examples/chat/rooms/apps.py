"""The app with the rooms."""

from django.apps import AppConfig


class RoomsConfig(AppConfig):
    """Rooms, their messages and their WebSocket endpoints."""

    name = "rooms"
