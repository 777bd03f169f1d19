"""``manage.py publish``: publishes what it reads, a line with topic and message each, and says how it went."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from django_bolt import publish


class Command(BaseCommand):
    """A publisher in a process that serves nobody."""

    help = "Publish lines of topic, tab and message."

    def handle(self, *args: Any, **options: Any) -> None:
        for line in sys.stdin:
            topic, _, message = line.rstrip("\n").partition("\t")
            published = publish(topic, message)
            self.stdout.write(f"{published.receivers} {published.accepted}")
            self.stdout.flush()
