"""Everything that a handler finds on its `WebSocket`, shown to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from django_bolt import BoltAPI, WebSocket, WebSocketDisconnect
from tests.project.recorder import record

surface_api = BoltAPI(prefix="/surface")


@surface_api.websocket("/request/{name}/{number}")
async def request(websocket: WebSocket, name: str, number: int):
    await websocket.accept()
    await websocket.send_json(
        {
            "x-one": websocket.headers["X-One"],
            "X-ONE": websocket.headers.get("X-ONE"),
            "missing": websocket.headers.get("x-missing"),
            "query": websocket.query_params.dict(),
            "repeated": websocket.query_params.getlist("tag"),
            "path_params": websocket.path_params,
            "cookies": websocket.cookies,
            "url": websocket.url,
            "path": websocket.path,
            "subprotocols": websocket.subprotocols,
            "client": websocket.client,
            "raw": [list(pair) for pair in websocket.raw_headers if pair[0] == "x-one"],
        }
    )


@surface_api.websocket("/accept/subprotocol")
async def accept_subprotocol(websocket: WebSocket, chosen: str):
    await websocket.accept(subprotocol=chosen, headers={"X-Served-By": "test", "Set-Cookie": "seen=1"})
    await websocket.send_text("accepted")


@surface_api.websocket("/accept/plain")
async def accept_plain(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("accepted")


@surface_api.websocket("/accept/pairs")
async def accept_pairs(websocket: WebSocket):
    await websocket.accept(headers=[("X-Number", "1"), ("X-Other", "2")])
    await websocket.send_text("accepted")


@surface_api.websocket("/context")
async def context(websocket: WebSocket):
    await websocket.accept()
    websocket.context["count"] = 0
    async for _ in websocket:
        websocket.context["count"] += 1
        await websocket.send_json(websocket.context)


@surface_api.websocket("/echo/receive")
async def echo_receive(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send(await websocket.receive())


@surface_api.websocket("/echo/iterate")
async def echo_iterate(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@surface_api.websocket("/describe/{method}")
async def describe(websocket: WebSocket, method: str):
    await websocket.accept()
    if method.startswith("iter"):
        async for message in getattr(websocket, method)():
            await websocket.send_json([type(message).__name__, repr(message)])
    while True:
        message = await getattr(websocket, method)()
        await websocket.send_json([type(message).__name__, repr(message)])


@surface_api.websocket("/send-buffers")
async def send_buffers(websocket: WebSocket):
    await websocket.accept()
    await websocket.send(bytearray(b"bytearray"))
    await websocket.send(memoryview(b"memoryview"))
    await websocket.send_bytes(bytearray(b""))
    await websocket.send_text("")
    await websocket.send("héllo ✓")


@surface_api.websocket("/states")
async def states(websocket: WebSocket):
    record(websocket, f"{websocket.state.name} {websocket.close_code}")
    await websocket.accept()
    record(websocket, f"{websocket.state.name} {websocket.close_code}")
    try:
        await websocket.receive()
    except WebSocketDisconnect:
        record(websocket, f"{websocket.state.name} {websocket.close_code} {websocket.close_reason!r}")
        raise


@surface_api.websocket("/states/own-close")
async def states_own_close(websocket: WebSocket):
    await websocket.accept()
    await websocket.close(4002, "enough")
    record(websocket, f"{websocket.state.name} {websocket.close_code} {websocket.close_reason!r}")
    await websocket.close(4003, "again")
    record(websocket, await attempt(websocket.receive()))
    record(websocket, await attempt(websocket.send_text("late")))
    record(websocket, f"{websocket.close_code} {websocket.close_reason!r}")


@surface_api.websocket("/concurrent")
async def concurrent(websocket: WebSocket):
    await websocket.accept()
    first = asyncio.create_task(websocket.receive_text())
    await asyncio.sleep(0)
    second = await attempt_call(websocket.receive_text)
    await websocket.send_text(second)
    await websocket.send_text(await first)


@surface_api.websocket("/timeout")
async def timeout(websocket: WebSocket):
    """A cancelled receive loses nothing."""
    await websocket.accept()
    try:
        await asyncio.wait_for(websocket.receive_text(), 0.01)
    except TimeoutError:
        await websocket.send_text("timed out")
    await websocket.send_text(f"then {await websocket.receive_text()}")


@surface_api.websocket("/misuse/before-accept/{operation}")
async def misuse_before_accept(websocket: WebSocket, operation: str):
    calls: dict[str, Any] = {
        "send": lambda: websocket.send("x"),
        "send_text": lambda: websocket.send_text("x"),
        "send_bytes": lambda: websocket.send_bytes(b"x"),
        "send_json": lambda: websocket.send_json({}),
        "receive": websocket.receive,
        "receive_text": websocket.receive_text,
        "receive_bytes": websocket.receive_bytes,
        "receive_json": websocket.receive_json,
        "iter_text": lambda: anext(websocket.iter_text()),
    }
    said = await attempt_call(calls[operation])
    await websocket.accept()
    await websocket.send_text(said)


@surface_api.websocket("/misuse/after-accept/{operation}")
async def misuse_after_accept(websocket: WebSocket, operation: str):
    calls: dict[str, Any] = {
        "accept": websocket.accept,
        "reject": lambda: websocket.reject(403),
        "close-999": lambda: websocket.close(999),
        "close-1005": lambda: websocket.close(1005),
        "close-1006": lambda: websocket.close(1006),
        "close-1015": lambda: websocket.close(1015),
        "close-2000": lambda: websocket.close(2000),
        "close-5000": lambda: websocket.close(5000),
        "close-long-reason": lambda: websocket.close(4000, "é" * 62),
        "send-int": lambda: websocket.send(1),  # type: ignore[arg-type]
        "send_text-bytes": lambda: websocket.send_text(b"x"),  # type: ignore[arg-type]
        "send_bytes-str": lambda: websocket.send_bytes("x"),  # type: ignore[arg-type]
        "send_json-object": lambda: websocket.send_json(object()),
    }
    await websocket.accept()
    await websocket.send_text(await attempt_call(calls[operation]))


@surface_api.websocket("/misuse/accept/{operation}")
async def misuse_accept(websocket: WebSocket, operation: str):
    calls: dict[str, Any] = {
        "subprotocol": lambda: websocket.accept(subprotocol="never-offered"),
        "header-name": lambda: websocket.accept(headers={"bad name": "x"}),
        "header-value": lambda: websocket.accept(headers={"X-Split": "a\r\nSet-Cookie: b=c"}),
        "handshake-header": lambda: websocket.accept(headers={"Sec-WebSocket-Accept": "x"}),
        "reject-101": lambda: websocket.reject(101),
    }
    said = await attempt_call(calls[operation])
    await websocket.accept()
    await websocket.send_text(said)


async def attempt_call(call: Any) -> str:
    """Call and await; return the built-in exception that comes of it, by its name."""
    try:
        await call()
    except (RuntimeError, ValueError, TypeError) as error:
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return kinds[0]
    return "nothing"


async def attempt(operation: Awaitable[Any]) -> str:
    """Await; return the name of the exception that comes of it."""
    try:
        await operation
    except Exception as error:
        return type(error).__name__
    return "nothing"
