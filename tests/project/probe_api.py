"""Questions of tests about the process that serves them."""

from __future__ import annotations

from typing import Any

from django_bolt import BoltAPI, WebSocket
from tests.project import spec_api
from tests.project.recorder import events_of

probe_api = BoltAPI(auth=[], guards=[])


@probe_api.websocket("/ws/probe")
async def probe(websocket: WebSocket):
    """Answer each message, the key of a test, with what is known."""
    await websocket.accept()
    async for key in websocket.iter_text():
        await websocket.send_json(answer(key))


def answer(key: str) -> dict[str, Any]:
    """Return the events of a test, and how many connections the snippets of the specification hold."""
    return {
        "events": events_of(key),
        "clients": len(spec_api.connected_clients),
        "rooms": {room_id: len(members) for room_id, members in spec_api.rooms.items()},
    }
