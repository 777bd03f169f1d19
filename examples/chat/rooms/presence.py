"""Who is in which room, whichever worker process they are connected to.

Each connection to a room has a row in the database, and every process says every few seconds that its rows still hold.
A process that is killed does not delete its rows; so the others drop what nobody has confirmed for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from django.db.models import Count, F
from django.utils import timezone

from django_bolt import BrokerUnavailable, publish

from .models import Presence, Room

LOBBY = "lobby"  # the topic with the numbers of people

REFRESH = 3  # seconds
STALE = timedelta(seconds=10)  # three signs of life were missed

logger = logging.getLogger(__name__)

here: dict[UUID, Presence] = {}  # the rows of this process
tasks: set[asyncio.Task[None]] = set()  # the one that refreshes them, once it runs


@asynccontextmanager
async def present(room: Room, name: str) -> AsyncIterator[None]:
    """Have somebody in a room for as long as the block lasts."""
    keep_refreshing()
    row = Presence(room=room, name=name)
    try:
        await row.asave()
        here[row.pk] = row
        await sync_to_async(announce_people)(room.pk)
        yield
    finally:
        here.pop(row.pk, None)
        await Presence.objects.filter(pk=row.pk).adelete()
        await sync_to_async(announce_people)(room.pk)


def keep_refreshing() -> None:
    """Start the task that refreshes, if this process has none yet."""
    if not tasks:
        task = asyncio.create_task(refresh_again_and_again())
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def refresh_again_and_again() -> None:
    """Refresh until the process ends."""
    while True:
        await asyncio.sleep(REFRESH)
        try:
            await sync_to_async(refresh)()
        except (DatabaseError, BrokerUnavailable):
            logger.exception("Who is in the rooms could not be refreshed")


def refresh() -> None:
    """Confirm the rows of this process, and drop those that nobody confirms any more."""
    mine = list(here.values())
    rows = Presence.objects.filter(pk__in=[row.pk for row in mine])
    found = set(rows.values_list("pk", flat=True))
    rows.update(seen_at=timezone.now())
    for row in mine:
        # Others have dropped it, after the machine slept, say. (Who has left meanwhile is not here.)
        if row.pk not in found and row.pk in here:
            row.save()
            announce_people(row.room_id)

    stale = Presence.objects.filter(seen_at__lt=timezone.now() - STALE)
    rooms = set(stale.values_list("room", flat=True))
    stale.delete()
    for room in rooms:
        announce_people(room)


def announce_people(room_id: int) -> None:
    """Tell a room who is in it now, and the lobby how many.

    Two processes may do so at the same time, and what they publish may come in either order. So the list is numbered
    in the transaction that reads it, and a page ignores what is older than what it shows.
    """
    with transaction.atomic():
        Room.objects.filter(pk=room_id).update(people_version=F("people_version") + 1)
        room = Room.objects.filter(pk=room_id).first()
        if room is None:
            return  # it was deleted
        names = sorted(set(room.presences.values_list("name", flat=True)), key=str.casefold)
    publish(room.live_topic, {"type": "people", "version": room.people_version, "names": names})
    publish(LOBBY, {"type": "counts", "rooms": [count_event(room, len(names))]})


def count_people() -> list[dict[str, object]]:
    """Return how many people are in each room. Somebody with two windows open counts once."""
    rooms = Room.objects.annotate(count=Count("presences__name", distinct=True))
    return [count_event(room, room.count) for room in rooms]


acount_people = sync_to_async(count_people)


def count_event(room: Room, count: int) -> dict[str, object]:
    """Return the number of people in a room as the lobby expects it."""
    return {"room": room.slug, "version": room.people_version, "count": count}
