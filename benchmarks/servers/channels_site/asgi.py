"""The application, for uvicorn and for Daphne."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "channels_site.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - Django must be set up first
from django.urls import path  # noqa: E402

from channels_site import consumers  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter(
            [
                path("ws/echo", consumers.Echo.as_asgi()),
                path("ws/broadcast", consumers.Broadcast.as_asgi()),
                path("ws/topic", consumers.Topic.as_asgi()),
                path("ws/binary", consumers.Binary.as_asgi()),
                path("ws/json", consumers.Json.as_asgi()),
                path("ws/protected", consumers.Protected.as_asgi()),
            ]
        ),
    }
)
