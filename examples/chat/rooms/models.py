"""What the chat remembers: its rooms and what was said in them."""

from __future__ import annotations

from django.db import models
from django.urls import reverse

NAME_LENGTH = 24
TEXT_LENGTH = 500


class Room(models.Model):
    """A room, open to everybody or to members only: people who log in."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=60)
    topic = models.CharField(max_length=120, blank=True)
    members_only = models.BooleanField(default=False)

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
