"""One page, one that takes uploads, and one that does not end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def page(request: HttpRequest) -> HttpResponse:
    """Answer with the scheme and the client's address as Django sees them."""
    return _answer(f"{request.scheme} {request.META.get('REMOTE_ADDR')}")


def _answer(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain", headers={"Content-Length": str(len(text))})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Answer with the length of the body."""
    return _answer(str(len(request.body)))


async def download(request: HttpRequest) -> StreamingHttpResponse:
    """Answer without end."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)
            await asyncio.sleep(0)  # where Django learns that the client has left

    return StreamingHttpResponse(pieces())


urlpatterns = [path("", page), path("upload", upload), path("download", download)]
