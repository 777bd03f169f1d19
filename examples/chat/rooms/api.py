"""The chat's WebSocket endpoints: the live half of the site.

``manage.py runbolt`` finds ``api`` in this module by itself. What happens in a room is published on the room's topic,
so that it does not matter which worker process somebody is connected to.
"""

from __future__ import annotations

import msgspec

from django_bolt import BoltAPI, WebSocket, WebSocketException, apublish
from django_bolt.auth import IsAuthenticated, SessionAuthentication

from .models import NAME_LENGTH, TEXT_LENGTH, Message, Room
from .presence import LOBBY, acount_people, keep_refreshing, present
from .text import clean

HISTORY = 50  # messages that a newcomer sees

# Close codes from 4000 up are an application's own; the page does not reconnect after one.
BAD_NAME = 4000
NO_SUCH_ROOM = 4004

api = BoltAPI()


class Say(msgspec.Struct):
    """What a client may send; anything of another form closes its connection with 1007."""

    text: str


@api.websocket("/ws/rooms/{slug}")
async def open_room(websocket: WebSocket, slug: str, name: str = "") -> None:
    """Serve a room that anybody enters under a name of their choice."""
    room = await find_room(slug, members_only=False)
    chosen = clean(" ".join(name.split()), NAME_LENGTH)
    if chosen is None:
        raise WebSocketException(BAD_NAME, f"A name has 1 to {NAME_LENGTH} characters.")
    await chat(websocket, room, chosen)


@api.websocket("/ws/members/{slug}", auth=[SessionAuthentication()], guards=[IsAuthenticated()])
async def members_room(websocket: WebSocket, slug: str) -> None:
    """Serve a room for people with an account. Who is logged in on the site is known here, until they log out."""
    room = await find_room(slug, members_only=True)
    user = await websocket.auser()
    await chat(websocket, room, user.get_username())


@api.websocket("/ws/lobby")
async def watch_lobby(websocket: WebSocket) -> None:
    """Tell the list of rooms how many people are in each, now and at every change."""
    await websocket.accept()
    keep_refreshing()
    async with websocket.subscribe(LOBBY):
        await websocket.send_json({"type": "counts", "rooms": await acount_people()})
        async for _ in websocket:
            pass  # a watcher has nothing to say: this waits until it leaves


async def find_room(slug: str, members_only: bool) -> Room:
    """Return a room, or close the connection."""
    room = await Room.objects.filter(slug=slug, members_only=members_only).afirst()
    if room is None:
        raise WebSocketException(NO_SUCH_ROOM, "There is no such room.")
    return room


async def chat(websocket: WebSocket, room: Room, name: str) -> None:
    """Keep one person in a room from coming to leaving."""
    await websocket.accept()
    # Subscribed first, history second: nothing said meanwhile is missed, and the page sorts by id.
    async with websocket.subscribe(room.live_topic):
        await websocket.send_json({"type": "history", "messages": await recent_messages(room)})
        async with present(room, name):
            async for message in websocket.iter_json(type=Say):
                await say(websocket, room, name, message.text)


async def say(websocket: WebSocket, room: Room, name: str, words: str) -> None:
    """Store what somebody says and publish it to the room."""
    text = clean(words, TEXT_LENGTH)
    if text is None:
        problem = f"A message has 1 to {TEXT_LENGTH} characters."
        await websocket.send_json({"type": "error", "text": problem})
        return
    message = await Message.objects.acreate(room=room, author=name, text=text)
    await apublish(room.live_topic, message.as_event())


async def recent_messages(room: Room) -> list[dict[str, object]]:
    """Return the room's last messages, the oldest first."""
    newest_first = room.messages.order_by("-pk")[:HISTORY]
    return [message.as_event() async for message in newest_first][::-1]
