"""Rooms and messages in Django's admin: an ordinary site next to the live one."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from .models import Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Add and rename rooms."""

    list_display = ("title", "slug", "topic", "members_only")


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Look up, correct and write messages; pages that are open show them at once."""

    list_display = ("sent_at", "room", "author", "text")
    list_filter = ("room",)
    search_fields = ("author", "text")

    def save_model(self, request: HttpRequest, obj: Message, form: object, change: bool) -> None:
        """Save a message and show it in its room."""
        super().save_model(request, obj, form, change)
        obj.publish()
