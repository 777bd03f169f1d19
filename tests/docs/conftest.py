"""Fixtures that examples ask for; the installed package offers them to every project."""

from django_bolt.testing.plugin import bolt_client, bolt_client_for

__all__ = ["bolt_client", "bolt_client_for"]
