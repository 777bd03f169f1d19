"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig, apps


class BoltConfig(AppConfig):
    """Registers system checks and receivers of signals; the management command is found by its place."""

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

        if apps.is_installed("django.contrib.auth"):
            from django_bolt.endpoints.user_signals import connect_signals

            connect_signals()
        checks.register(check_broker_is_there, "django_bolt", deploy=True)
