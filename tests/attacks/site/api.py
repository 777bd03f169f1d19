"""The endpoints under attack."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextlib import suppress

from django_bolt import BoltAPI, WebSocket
from django_bolt.auth import AuthResult, BaseAuthentication

api = BoltAPI(auth=[], guards=[])


@api.websocket("/echo")
async def echo(websocket: WebSocket):
    """Send each message back."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@api.websocket("/measure")
async def measure(websocket: WebSocket):
    """Answer each message with its length."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send_text(str(len(message)))


@api.websocket("/deaf")
async def deaf(websocket: WebSocket):
    """Receive nothing."""
    await websocket.accept()
    await asyncio.Event().wait()


@api.websocket("/produce")
async def produce(websocket: WebSocket, size: int = 65_536):
    """Send without end."""
    await websocket.accept()
    message = bytes(size)
    while True:
        await websocket.send_bytes(message)


@api.websocket("/raise")
async def raise_at_once(websocket: WebSocket):
    """Fail after the first message."""
    await websocket.accept()
    await websocket.receive()
    raise LookupError("a secret")


# ── broadcasting, as the specification has it ────────────────────────────────────────────────────────────

connected_clients: set[WebSocket] = set()


@api.websocket("/ws/broadcast")
async def broadcast(websocket: WebSocket):
    """The specification's endpoint."""
    await websocket.accept()
    connected_clients.add(websocket)

    try:
        async for message in websocket.iter_text():
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_text(message)
    finally:
        connected_clients.discard(websocket)


# ── what tests ask ───────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/probe")
async def probe(websocket: WebSocket):
    """Answer each message with what lives in the process, after giving back what it does not use."""
    await websocket.accept()
    async for _ in websocket:
        gc.collect()
        give_memory_back()
        await websocket.send_json(
            {
                "tasks": len(asyncio.all_tasks()),
                "connections": sum(isinstance(found, WebSocket) for found in gc.get_objects()),
                "subscribers": len(connected_clients),
            }
        )


def give_memory_back() -> None:
    """Have the C library give free memory back to the system, so that what is left in use can be seen from outside."""
    with suppress(AttributeError):  # it is glibc's
        ctypes.CDLL(None).malloc_trim(0)


@api.websocket("/client")
async def show_client(websocket: WebSocket):
    """Say who the client is."""
    await websocket.accept()
    await websocket.send_json({"client": websocket.client, "url": websocket.url})


class NamedUser(BaseAuthentication):
    """Believes the header field ``X-User``."""

    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        """Return who the client says that it is."""
        name = websocket.headers.get("x-user")
        return AuthResult(name) if name else None


@api.websocket("/user", auth=[NamedUser()])
async def user(websocket: WebSocket):
    """Echo to a user."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)
