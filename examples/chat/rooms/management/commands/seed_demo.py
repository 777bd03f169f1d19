"""``manage.py seed_demo``: rooms to chat in and users to log in with."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from rooms.models import Room

ROOMS = [
    ("coffee", "Coffee corner", "Small talk, big mugs.", False),
    ("django", "Django questions", "Ask anything. Somebody has seen that traceback before.", False),
    ("music", "Now playing", "What are you listening to?", False),
    ("staff", "Staff lounge", "Only for people with an account.", True),
]
USERS = [("demo", False), ("admin", True)]


class Command(BaseCommand):
    """Create what is missing and leave the rest alone, so that it may run again and again."""

    help = "Creates the demo's rooms and the users demo (password demo) and admin (password admin)."

    def handle(self, *args: object, **options: object) -> None:
        """Create rooms and users."""
        if not settings.DEBUG:
            raise CommandError(
                "seed_demo creates users with known passwords: it runs only with DEBUG = True."
            )
        for slug, title, topic, members_only in ROOMS:
            defaults = {"title": title, "topic": topic, "members_only": members_only}
            _, created = Room.objects.get_or_create(slug=slug, defaults=defaults)
            self.report(f"room {title}", created)
        for username, is_admin in USERS:
            self.report(f"user {username} (password {username})", create_user(username, is_admin))

    def report(self, what: str, created: bool) -> None:
        """Print what became of one thing."""
        self.stdout.write(f"  {what}: {self.style.SUCCESS('created') if created else 'there already'}")


def create_user(username: str, is_admin: bool) -> bool:
    """Create a user whose password is the user name; return False if there is one already."""
    users = get_user_model().objects
    if users.filter(username=username).exists():
        return False
    users.create_user(username, password=username, is_staff=is_admin, is_superuser=is_admin)
    return True
