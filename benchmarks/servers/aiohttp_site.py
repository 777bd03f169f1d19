"""The handlers on aiohttp, with uvloop. Usage: python aiohttp_site.py PORT"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import WSMsgType, web
from messages import decode, encode
from tokens import user_of

HEARTBEAT = 20.0
connected_clients: set[web.WebSocketResponse] = set()


async def accept(request: web.Request) -> web.WebSocketResponse:
    """Complete the opening handshake."""
    websocket = web.WebSocketResponse(heartbeat=HEARTBEAT)
    await websocket.prepare(request)
    return websocket


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back with a prefix."""
    websocket = await accept(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(f"Echo: {message.data}")
    return websocket


async def broadcast(request: web.Request) -> web.WebSocketResponse:
    """Send every message to all clients."""
    websocket = await accept(request)
    connected_clients.add(websocket)
    try:
        async for message in websocket:
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_str(message.data)
    finally:
        connected_clients.discard(websocket)
    return websocket


async def binary(request: web.Request) -> web.WebSocketResponse:
    """Send every binary message back."""
    websocket = await accept(request)
    async for message in websocket:
        await websocket.send_bytes(message.data)
    return websocket


async def json(request: web.Request) -> web.WebSocketResponse:
    """Decode every message into a struct, and send that back."""
    websocket = await accept(request)
    async for message in websocket:
        await websocket.send_str(encode(decode(message.data)).decode())
    return websocket


async def protected(request: web.Request) -> web.StreamResponse:
    """Let in who has a token, then echo."""
    if user_of(request.headers.get("Authorization")) is None:
        return web.Response(status=401)
    return await echo(request)


def main() -> None:
    """Serve."""
    app = web.Application()
    for handler in (echo, broadcast, binary, json, protected):
        app.router.add_get(f"/ws/{handler.__name__}", handler)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
