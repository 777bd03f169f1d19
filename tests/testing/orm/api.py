"""Handlers that use the ORM, as coroutines and as plain functions. Each message names a group."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction

from django_bolt import BoltAPI, SyncWebSocket, WebSocket
from django_bolt.threads import run_in_thread

api = BoltAPI()
committed: list[str] = []


def make(name: str) -> None:
    """Make a group in a transaction; one called ``wrong`` is rolled back."""
    try:
        with transaction.atomic():
            Group.objects.get_or_create(name=name)
            transaction.on_commit(lambda: committed.append(name))
            if name == "wrong":
                raise LookupError
    except LookupError:
        pass


def names() -> list[str]:
    """Return the names of all groups."""
    return list(Group.objects.order_by("name").values_list("name", flat=True))


def connection_id() -> int:
    """Return the identity of the thread's database connection."""
    connection.ensure_connection()
    return id(connection.connection)


@api.websocket("/async/names")
async def async_names(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket:
        await websocket.send_json([group.name async for group in Group.objects.order_by("name")])


@api.websocket("/def/names")
def def_names(websocket: SyncWebSocket) -> None:
    websocket.accept()
    for _ in websocket:
        websocket.send_json(names())


@api.websocket("/thread/names")
async def thread_names(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket:
        await websocket.send_json(await run_in_thread(names))


@api.websocket("/async/make")
async def async_make(websocket: WebSocket) -> None:
    await websocket.accept()
    async for name in websocket.iter_text():
        await sync_to_async(make)(name)
        await websocket.send_text(name)


@api.websocket("/def/make")
def def_make(websocket: SyncWebSocket) -> None:
    websocket.accept()
    for name in websocket.iter_text():
        make(name)
        websocket.send_text(name)


@api.websocket("/thread/make")
async def thread_make(websocket: WebSocket) -> None:
    await websocket.accept()
    async for name in websocket.iter_text():
        await run_in_thread(make, name)
        await websocket.send_text(name)


@api.websocket("/async/connection")
async def async_connection(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(await sync_to_async(connection_id)())


@api.websocket("/def/connection")
def def_connection(websocket: SyncWebSocket) -> None:
    websocket.accept()
    websocket.send_json(connection_id())


@api.websocket("/thread/connection")
async def thread_connection(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(await run_in_thread(connection_id))


@api.websocket("/def/waits-in-transaction")
def waits_in_transaction(websocket: SyncWebSocket) -> None:
    websocket.accept()
    with transaction.atomic():
        Group.objects.create(name="half done")
        websocket.send_text("waits")
        websocket.receive()
