"""One page, and one that takes uploads."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def page(request: HttpRequest) -> HttpResponse:
    """Answer with the scheme and the client's address as Django sees them."""
    text = f"{request.scheme} {request.META.get('REMOTE_ADDR')}"
    return HttpResponse(text, content_type="text/plain", headers={"Content-Length": str(len(text))})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Answer with the length of the body."""
    return HttpResponse(str(len(request.body)), content_type="text/plain")


urlpatterns = [path("", page), path("upload", upload)]
