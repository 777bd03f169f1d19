"""What the chat remembers: its rooms, what was said in them, and who is there."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.urls import reverse

from django_bolt import publish

NAME_LENGTH = 24
TEXT_LENGTH = 500


class Room(models.Model):
    """A room, open to everybody or to members only: people who log in."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=60)
    topic = models.CharField(max_length=120, blank=True)
    members_only = models.BooleanField(default=False)
    people_version = models.PositiveBigIntegerField(default=0, editable=False)  # see presence.announce_people

    class Meta:
        ordering = ("members_only", "title")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the room's page."""
        return reverse("room", args=[self.slug])

    @property
    def socket_path(self) -> str:
        """The path of the endpoint in ``api.py`` that serves the room."""
        return f"/ws/members/{self.slug}" if self.members_only else f"/ws/rooms/{self.slug}"

    @property
    def live_topic(self) -> str:
        """The topic on which is published what happens in the room."""
        return f"room:{self.pk}"


class Message(models.Model):
    """Something said in a room."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="messages")
    author = models.CharField(max_length=150)  # as long as Django's user names may be
    text = models.CharField(max_length=TEXT_LENGTH)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.author}: {self.text}"

    def as_event(self) -> dict[str, object]:
        """Return the message as the page expects it."""
        return {
            "type": "message",
            "id": self.pk,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }

    def publish(self) -> None:
        """Show the message to everybody in the room, once it is committed. (Coroutines use `apublish`.)"""
        publish(self.room.live_topic, self.as_event(), on_commit=True)


class Presence(models.Model):
    """A connection to a room; ``presence.py`` keeps its row up to date."""

    key = models.UUIDField(primary_key=True, default=uuid4)
    # Without a constraint: a room may be deleted while people are in it.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="presences", db_constraint=False)
    name = models.CharField(max_length=150)
    seen_at = models.DateTimeField(auto_now=True, db_index=True)

    def __str__(self) -> str:
        return self.name
