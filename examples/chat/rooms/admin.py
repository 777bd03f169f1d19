"""Rooms and messages in Django's admin: an ordinary site next to the live one."""

from django.contrib import admin

from .models import Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Add and rename rooms."""

    list_display = ("title", "slug", "topic", "members_only")


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Look up and remove messages."""

    list_display = ("sent_at", "room", "author", "text")
    list_filter = ("room",)
    search_fields = ("author", "text")
