"""Endpoints for the tests of both test clients, and what their handlers have noted."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from django_bolt import BoltAPI, WebSocket, WebSocketDisconnect

__all__ = ["api", "everybody", "seen"]

api = BoltAPI()
seen: list[str] = []
everybody: set[WebSocket] = set()


@api.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@api.websocket("/request/{name}")
async def request(websocket: WebSocket, name: str, count: int = 0, tag: list[str] | None = None) -> None:
    await websocket.accept()
    await websocket.send_json(
        {
            "name": name,
            "count": count,
            "tag": tag,
            "url": websocket.url,
            "x": [value for key, value in websocket.raw_headers if key == "x-test"],
            "cookies": websocket.cookies,
            "subprotocols": websocket.subprotocols,
            "client": websocket.client,
            "thread": threading.current_thread().name,
        }
    )


@api.websocket("/subprotocol")
async def subprotocol(websocket: WebSocket) -> None:
    await websocket.accept(websocket.subprotocols[-1], {"X-Answer": "42"})


@api.websocket("/broadcast")
async def broadcast(websocket: WebSocket) -> None:
    await websocket.accept()
    everybody.add(websocket)
    try:
        async for message in websocket.iter_text():
            for client in everybody:
                await client.send_text(message)
    finally:
        everybody.discard(websocket)


@api.websocket("/busy")
async def busy(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


@api.websocket("/tidy")
async def tidy(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await websocket.receive()
    except WebSocketDisconnect as error:
        await asyncio.sleep(0.01)
        seen.append(f"tidied up after {error.code}")


@api.websocket("/spawn")
async def spawn(websocket: WebSocket) -> None:
    await websocket.accept()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("background cancelled")
            raise

    websocket.context["task"] = asyncio.create_task(forever())


@api.websocket("/never")
async def never(websocket: WebSocket) -> None:
    await asyncio.sleep(60)


@api.websocket("/stubborn")
async def stubborn(websocket: WebSocket) -> None:
    await websocket.accept()
    for _ in range(2):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@api.websocket("/cookie/{action}")
async def cookie(websocket: WebSocket, action: str) -> None:
    headers = [("Set-Cookie", "seat=12; Path=/"), ("Set-Cookie", 'row="a b"; HttpOnly')]
    if action == "reject":
        await websocket.reject(403, headers=headers)
    else:
        await websocket.accept(headers=headers)


@api.websocket("/fails/{when}")
async def fails(websocket: WebSocket, when: str) -> None:
    if when == "before":
        raise LookupError("before accept")
    await websocket.accept()
    await websocket.send_text("ready")
    try:
        await websocket.receive()
    except WebSocketDisconnect:
        if when == "late":
            await asyncio.sleep(0.01)
        raise LookupError("after the client left") from None
    raise LookupError("after accept")
