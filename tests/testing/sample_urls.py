"""An HTTP side for the sites that the test clients ask."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

__all__ = ["urlpatterns"]


def visit(request: HttpRequest) -> JsonResponse:
    """Say what was asked, and leave a cookie."""
    response = JsonResponse(
        {
            "host": request.get_host(),
            "header": request.headers.get("X-Test"),
            "cookies": request.COOKIES,
            "user": request.user.username,
        }
    )
    response.set_cookie("visited", "yes")
    return response


def fail(request: HttpRequest) -> JsonResponse:
    """Raise."""
    raise LookupError("of the view")


urlpatterns = [path("visit/", visit), path("fail/", fail)]
