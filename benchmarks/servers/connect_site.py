"""A Django project in one file, with one echo behind different opening handshakes: ``connect_site.py ADDRESS:PORT``.

What each of them asks of a client is all in which they differ.
"""

from __future__ import annotations

import sys
from typing import Annotated

import django
from django.conf import settings
from django.core.management import call_command
from tokens import SECRET

from django_bolt import BoltAPI, Query, WebSocket
from django_bolt.auth import IsAuthenticated, JWTAuthentication

api = BoltAPI()
by_token = {"auth": [JWTAuthentication()], "guards": [IsAuthenticated()]}


@api.websocket("/ws/plain")
async def plain(websocket: WebSocket) -> None:
    """Ask nothing."""
    await echo(websocket)


@api.websocket("/ws/rooms/{room_id}")
async def parameters(
    websocket: WebSocket, room_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> None:
    """Ask for two numbers, one in the path and one in the query."""
    await echo(websocket)


@api.websocket("/ws/token", **by_token)
async def token(websocket: WebSocket) -> None:
    """Ask for a token that is signed and expires."""
    await echo(websocket)


@api.websocket("/ws/token/rooms/{room_id}", **by_token)
async def token_and_parameters(
    websocket: WebSocket, room_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> None:
    """Ask for both."""
    await echo(websocket)


async def echo(websocket: WebSocket) -> None:
    """Send back what comes, with a prefix."""
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"Echo: {message}")


if __name__ == "__main__":
    settings.configure(
        SECRET_KEY=SECRET,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_bolt"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1"],
        BOLT={"API": ["__main__:api"]},
    )
    django.setup()
    call_command("runbolt", sys.argv[1], "--noreload", "--workers", "1")

urlpatterns: list[object] = []
