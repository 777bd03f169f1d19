"""The chat's WebSocket endpoints: the live half of the site.

``manage.py runbolt`` finds ``api`` in this module by itself. Who is in a room is kept in plain sets in this
process; what was said is kept in the database by Django's async ORM.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from django.contrib.auth import get_user_model

from django_bolt import BoltAPI, WebSocket, WebSocketDisconnect, WebSocketState
from django_bolt.auth import IsAuthenticated, JWTAuthentication

from .models import NAME_LENGTH, TEXT_LENGTH, Message, Room

HISTORY = 50  # messages that a newcomer sees

# Close codes from 4000 up are an application's own; the page does not reconnect after one.
BAD_NAME = 4000
NOT_ALLOWED = 4003
NO_SUCH_ROOM = 4004

Event = dict[str, object]

api = BoltAPI()
rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)  # slug of a room -> who is in it
lobby: set[WebSocket] = set()  # who looks at the list of rooms


@api.websocket("/ws/rooms/{slug}")
async def open_room(websocket: WebSocket, slug: str, name: str = "") -> None:
    """Serve a room that anybody enters under a name of their choice."""
    room = await Room.objects.filter(slug=slug, members_only=False).afirst()
    chosen = clean(" ".join(name.split()), NAME_LENGTH)
    if room is None:
        await websocket.close(NO_SUCH_ROOM, "There is no such room.")
    elif chosen is None:
        await websocket.close(BAD_NAME, f"A name has 1 to {NAME_LENGTH} characters.")
    else:
        await chat(websocket, room, chosen)


@api.websocket("/ws/members/{slug}", auth=[JWTAuthentication()], guards=[IsAuthenticated()])
async def members_room(websocket: WebSocket, slug: str) -> None:
    """Serve a room for people with an account, under their user name.

    The page gets its token from `rooms.views.token`, which wants Django's log-in.
    """
    room = await Room.objects.filter(slug=slug, members_only=True).afirst()
    user = await get_user_model().objects.filter(pk=websocket.context["user_id"], is_active=True).afirst()
    if room is None:
        await websocket.close(NO_SUCH_ROOM, "There is no such room.")
    elif user is None:
        await websocket.close(NOT_ALLOWED, "This account may not enter.")
    else:
        await chat(websocket, room, user.get_username())


@api.websocket("/ws/lobby")
async def watch_lobby(websocket: WebSocket) -> None:
    """Tell the list of rooms how many people are in each, now and at every change."""
    await websocket.accept()
    lobby.add(websocket)
    try:
        await websocket.send_json(head_counts())
        async for _ in websocket:
            pass  # a watcher has nothing to say: this waits until it leaves
    finally:
        lobby.discard(websocket)


async def chat(websocket: WebSocket, room: Room, name: str) -> None:
    """Keep one person in a room from coming to leaving."""
    await websocket.accept()
    websocket.context["name"] = name
    rooms[room.slug].add(websocket)
    try:
        # In the room first, history second: nothing said meanwhile is missed, and the page sorts by id.
        await websocket.send_json({"type": "history", "messages": await recent_messages(room)})
        await announce_people(room.slug)
        async for data in websocket.iter_json():
            await say(websocket, room, data)
    except WebSocketDisconnect:
        pass  # they left: nothing is wrong
    finally:
        rooms[room.slug].discard(websocket)
        await announce_people(room.slug)


async def say(websocket: WebSocket, room: Room, data: object) -> None:
    """Store and broadcast what a client sent, if it is a message at all."""
    text = clean(data.get("text"), TEXT_LENGTH) if isinstance(data, dict) else None
    if text is None:
        problem = f"A message has 1 to {TEXT_LENGTH} characters."
        await websocket.send_json({"type": "error", "text": problem})
        return
    message = await Message.objects.acreate(room=room, author=websocket.context["name"], text=text)
    await broadcast(rooms[room.slug], message.as_event())


async def recent_messages(room: Room) -> list[Event]:
    """Return the room's last messages, the oldest first."""
    newest_first = room.messages.order_by("-pk")[:HISTORY]
    return [message.as_event() async for message in newest_first][::-1]


async def announce_people(slug: str) -> None:
    """Tell a room who is in it now, and the lobby how many."""
    await broadcast(rooms[slug], {"type": "people", "names": names_in(slug)})
    await broadcast(lobby, head_counts())


async def broadcast(clients: set[WebSocket], event: Event) -> None:
    """Send an event to every client; one that is slow or gone does not hold up the others."""
    for client in list(clients):
        if client.state == WebSocketState.CONNECTED:
            await client.send_json(event)


def names_in(slug: str) -> list[str]:
    """Return the names in a room, each once: somebody may have two windows open."""
    return sorted({client.context["name"] for client in rooms[slug]}, key=str.casefold)


def head_counts() -> Event:
    """Return how many people are in each room that is not empty."""
    return {"type": "counts", "counts": {slug: len(names_in(slug)) for slug in list(rooms) if rooms[slug]}}


def clean(value: object, length: int) -> str | None:
    """Return text fit to store and show, or None: a client may send anything."""
    if not isinstance(value, str):
        return None
    # Line breaks are welcome; other control characters and halves of surrogate pairs are not.
    kept = (char for char in value if char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"})
    text = "".join(kept).strip()
    return text if 0 < len(text) <= length else None
