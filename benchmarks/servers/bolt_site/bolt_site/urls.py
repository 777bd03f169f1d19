"""No pages: the WebSocket endpoints are in ``api.py``."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
