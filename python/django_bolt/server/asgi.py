"""The Django site as an ASGI application."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.utils.module_loading import import_string

__all__ = ["get_application", "has_own_application"]


def has_own_application() -> bool:
    """Whether the project names its ASGI application in ``ASGI_APPLICATION``."""
    return bool(_own_application())


def get_application() -> Any:
    """Return the project's ASGI application, with static files while ``DEBUG`` is on, as with ``runserver``."""
    own = _own_application()
    application = import_string(own) if own else get_asgi_application()
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        return ASGIStaticFilesHandler(application)
    return application


def _own_application() -> str | None:
    return getattr(settings, "ASGI_APPLICATION", None)
