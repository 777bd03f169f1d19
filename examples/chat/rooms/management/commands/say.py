"""``manage.py say``: a message from outside of the server, in the rooms of those who are connected."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from rooms.models import NAME_LENGTH, TEXT_LENGTH, Message, Room
from rooms.text import clean


class Command(BaseCommand):
    """Store a message and publish it: whichever process runs this, the pages show it."""

    help = "Says something in a room."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("room", help="Slug of the room, as in its address.")
        parser.add_argument("text")
        parser.add_argument("--name", default="Host", help="Who says it (default: Host).")

    def handle(self, *args: object, room: str, text: str, name: str, **options: object) -> None:
        """Say it."""
        author, words = clean(name, NAME_LENGTH), clean(text, TEXT_LENGTH)
        if author is None or words is None:
            raise CommandError(f"A name has 1 to {NAME_LENGTH} characters, a message 1 to {TEXT_LENGTH}.")
        found = Room.objects.filter(slug=room).first()
        if found is None:
            slugs = ", ".join(Room.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no room {room!r}. Rooms: {slugs}.")
        Message.objects.create(room=found, author=author, text=words).publish()
        self.stdout.write(f"Said in {found.title}.")
