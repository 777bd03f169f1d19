"""One page; the WebSocket endpoints are in ``api.py``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path


async def page(_: HttpRequest) -> HttpResponse:
    """Return a page of about a kilobyte."""
    return HttpResponse(
        "<!doctype html><title>Page</title>" + "<p>The room is full of people tonight.</p>" * 24
    )


urlpatterns: list[URLPattern | URLResolver] = [path("page", page)]
