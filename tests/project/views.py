"""The HTTP side of the test project: what a Django site does that a server must not get in the way of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.templatetags.static import static
from django.views.decorators.csrf import csrf_exempt


def index(request: HttpRequest) -> HttpResponse:
    """A page with a stylesheet."""
    return HttpResponse(f'<!doctype html><link rel="stylesheet" href="{static("project/page.css")}"><p>index')


@csrf_exempt
def upload(request: HttpRequest) -> JsonResponse:
    """Say what was uploaded as ``file``: its name, its size and its SHA-256."""
    uploaded = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in uploaded.chunks():
        digest.update(chunk)
    return JsonResponse({"name": uploaded.name, "size": uploaded.size, "sha256": digest.hexdigest()})


async def stream(request: HttpRequest, count: int) -> StreamingHttpResponse:
    """Send lines one by one; ``?pause=`` is the time in seconds between two of them."""
    pause = float(request.GET.get("pause", "0"))

    async def lines() -> AsyncIterator[str]:
        for number in range(count):
            yield f"line {number}\n"
            await asyncio.sleep(pause)

    return StreamingHttpResponse(lines(), content_type="text/plain")


def counter(request: HttpRequest) -> JsonResponse:
    """Count the visits of a session."""
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return JsonResponse({"visits": visits})


@csrf_exempt
def echo(request: HttpRequest) -> JsonResponse:
    """Say what was asked."""
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.GET.dict(),
            "headers": dict(request.headers),
            "body": request.body.decode("latin-1"),
            "client": request.META.get("REMOTE_ADDR"),
            "host": request.get_host(),
        }
    )
