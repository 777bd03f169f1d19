"""``manage.py prepare``: a database with its tables and a superuser."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Migrates, and makes the superuser ``admin`` with the password ``admin``."""

    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        call_command("migrate", verbosity=0)
        get_user_model().objects.create_superuser("admin", "admin@example.com", "admin")
