"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class BoltConfig(AppConfig):
    """Registers the system checks; the management command is found by its place in the package."""

    name = "django_bolt"
    label = "django_bolt"
    verbose_name = "Django-Bolt"

    def ready(self) -> None:
        from django.core import checks

        from django_bolt.checks import (
            check_broker,
            check_broker_is_there,
            check_defaults,
            check_endpoints,
            check_settings,
        )

        for check in (check_settings, check_defaults, check_endpoints, check_broker):
            checks.register(check, "django_bolt")
        checks.register(check_broker_is_there, "django_bolt", deploy=True)
