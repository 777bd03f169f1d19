"""Handlers that end in every way a handler can."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from django_bolt import (
    BoltAPI,
    HTTPException,
    InvalidMessage,
    UnsupportedData,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from django_bolt.auth import BaseGuard, IsAuthenticated, JWTAuthentication
from tests.project.recorder import key_of, record, recorded

outcomes_api = BoltAPI(prefix="/outcomes")


class RefuseEverybody(BaseGuard):
    """A guard that says no."""

    detail = "Not today."

    def has_permission(self, websocket: WebSocket) -> bool:
        """Return False."""
        return False


class Order(msgspec.Struct):
    """A message with a type."""

    item: str
    count: int


# ── before accept ────────────────────────────────────────────────────────────────────────────────────────


@outcomes_api.websocket("/protected", auth=[JWTAuthentication()], guards=[IsAuthenticated])
async def protected(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()
        await websocket.send_json(websocket.context)


@outcomes_api.websocket("/guarded", guards=[RefuseEverybody])
async def guarded(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()


@outcomes_api.websocket("/parameters/{number}")
async def parameters(websocket: WebSocket, number: int, limit: int, verbose: bool = False):
    with recorded(websocket):
        await websocket.accept()


@outcomes_api.websocket("/close-before-accept")
async def close_before_accept(websocket: WebSocket):
    await websocket.close(4001, "come back later")
    record(websocket, f"{websocket.state.name} {websocket.close_code} {websocket.close_reason}")


@outcomes_api.websocket("/reject/{kind}")
async def reject(websocket: WebSocket, kind: str):
    body: Any = {"text": "No tea.", "bytes": b"\x00No tea.", "json": {"error": "No tea."}}[kind]
    await websocket.reject(418, body, {"X-Pot": "short", "Retry-After": "60"})


@outcomes_api.websocket("/http-exception")
async def http_exception(websocket: WebSocket):
    raise HTTPException(402, "Insert coin.", {"X-Price": "5"})


@outcomes_api.websocket("/returns-before-accept")
async def returns_before_accept(websocket: WebSocket):
    return


@outcomes_api.websocket("/raises-before-accept")
async def raises_before_accept(websocket: WebSocket):
    raise LookupError(f"secret of {key_of(websocket)}")


# ── after accept ─────────────────────────────────────────────────────────────────────────────────────────


@outcomes_api.websocket("/raises")
async def raises(websocket: WebSocket):
    await websocket.accept()
    raise LookupError(f"secret of {key_of(websocket)}")


@outcomes_api.websocket("/raises-http-exception")
async def raises_http_exception(websocket: WebSocket):
    await websocket.accept()
    raise HTTPException(402, f"secret of {key_of(websocket)}")


@outcomes_api.websocket("/websocket-exception/{when}")
async def websocket_exception(websocket: WebSocket, when: str):
    if when == "after":
        await websocket.accept()
    raise WebSocketException(4100, "as agreed")


@outcomes_api.websocket("/returns")
async def returns(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("bye")


# ── the client leaves ────────────────────────────────────────────────────────────────────────────────────


async def _exhaust(messages: Any) -> None:
    async for _ in messages:
        pass


@outcomes_api.websocket("/awaits/{method}")
async def awaits(websocket: WebSocket, method: str):
    with recorded(websocket):
        await websocket.accept()
        await websocket.send_text("ready")
        if method == "async-for":
            await _exhaust(websocket)
        elif method.startswith("iter_"):
            await _exhaust(getattr(websocket, method)())
        else:
            await getattr(websocket, method)()


@outcomes_api.websocket("/awaits-something-else")
async def awaits_something_else(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()
        await websocket.send_text("ready")
        while True:
            await asyncio.sleep(0.005)
            await websocket.send_text("tick")


@outcomes_api.websocket("/sleeps")
async def sleeps(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()
        await websocket.send_text("ready")
        await asyncio.Event().wait()


@outcomes_api.websocket("/cleans-up")
async def cleans_up(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("ready")
    try:
        await websocket.receive()
    except WebSocketDisconnect:
        await asyncio.sleep(0.05)
        record(websocket, "cleaned up")
        print(f"Cleaned up after {websocket.close_code}", flush=True)


@outcomes_api.websocket("/waits-before-accept")
async def waits_before_accept(websocket: WebSocket):
    record(websocket, "waits")
    await asyncio.sleep(0.1)
    with recorded(websocket):
        await websocket.accept()


# ── messages that the handler did not ask for ────────────────────────────────────────────────────────────


@outcomes_api.websocket("/wants/{method}")
async def wants(websocket: WebSocket, method: str):
    with recorded(websocket):
        await websocket.accept()
        while True:
            message = await getattr(websocket, method)()
            await websocket.send_text(f"got {message!r}")


@outcomes_api.websocket("/wants-order")
async def wants_order(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()
        async for order in websocket.iter_json(type=Order):
            await websocket.send_text(f"{order.count} x {order.item}")


@outcomes_api.websocket("/forgives/{method}")
async def forgives(websocket: WebSocket, method: str):
    await websocket.accept()
    while True:
        try:
            arguments = {"type": Order} if method == "receive_json" else {}
            message = await getattr(websocket, method)(**arguments)
        except UnsupportedData as error:
            await websocket.send_json({"expected": error.expected, "got": error.got})
        except InvalidMessage as error:
            await websocket.send_json({"invalid": error.path})
        else:
            await websocket.send_text(f"got {message!r}")


# ── everything else ──────────────────────────────────────────────────────────────────────────────────────


@outcomes_api.websocket("/echo")
async def echo(websocket: WebSocket):
    with recorded(websocket):
        await websocket.accept()
        async for message in websocket:
            await websocket.send(message)
