"""The handlers on RSGI, to be served by Granian."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from granian.rsgi import WebsocketMessageType
from messages import decode, encode
from tokens import user_of

connected_clients: set[Any] = set()


async def messages_of(websocket: Any) -> AsyncIterator[Any]:
    """Iterate over messages until the client leaves."""
    while True:
        message = await websocket.receive()
        if message.kind == WebsocketMessageType.close:
            return
        yield message.data


async def echo(websocket: Any) -> None:
    """Send every message back with a prefix."""
    async for message in messages_of(websocket):
        await websocket.send_str(f"Echo: {message}")


async def broadcast(websocket: Any) -> None:
    """Send every message to all clients."""
    connected_clients.add(websocket)
    try:
        async for message in messages_of(websocket):
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_str(message)
    finally:
        connected_clients.discard(websocket)


async def binary(websocket: Any) -> None:
    """Send every binary message back."""
    async for message in messages_of(websocket):
        await websocket.send_bytes(message)


async def json(websocket: Any) -> None:
    """Decode every message into a struct, and send that back."""
    async for message in messages_of(websocket):
        await websocket.send_str(encode(decode(message)).decode())


HANDLERS = {
    "/ws/echo": echo,
    "/ws/protected": echo,
    "/ws/broadcast": broadcast,
    "/ws/binary": binary,
    "/ws/json": json,
}


async def app(scope: Any, protocol: Any) -> None:
    """Accept, and run the handler of the path."""
    handler = HANDLERS.get(scope.path)
    refused = scope.path == "/ws/protected" and user_of(scope.headers.get("authorization")) is None
    if handler is None or refused:
        protocol.close(403)
        return
    await handler(await protocol.accept())
    protocol.close()
