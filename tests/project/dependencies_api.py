"""Endpoints with dependencies of every kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from django_bolt import (
    BoltAPI,
    Cookie,
    Depends,
    Header,
    HTTPException,
    WebSocket,
    WebSocketException,
)
from tests.project.recorder import record, recorded


async def note_visit(websocket: WebSocket) -> None:
    """Note that an endpoint of this API was reached."""
    record(websocket, "visit")


dependencies_api = BoltAPI(prefix="/dependencies", dependencies=[Depends(note_visit)])


def get_page(page: int = 1) -> int:
    """Blocking, with a parameter of the query."""
    assert threading.current_thread() is not threading.main_thread()
    return page


async def get_offset(
    websocket: WebSocket, page: Annotated[int, Depends(get_page)], size: Annotated[int, Cookie()] = 10
) -> int:
    """Nested, with a cookie and the connection."""
    record(websocket, "offset")
    return (page - 1) * size


class Window:
    """A class as a dependency."""

    def __init__(self, offset: Annotated[int, Depends(get_offset)], limit: int = 5) -> None:
        self.offset = offset
        self.limit = limit


@dependencies_api.websocket("/values/{room_id}")
async def values(
    websocket: WebSocket,
    room_id: str,
    window: Annotated[Window, Depends()],
    offset: int = Depends(get_offset),
    page: int = Depends(get_page),
):
    await websocket.accept()
    await websocket.send_json([room_id, window.offset, window.limit, offset, page])


def require_key(room_id: int, x_key: Annotated[str, Header()]) -> None:
    """Refuse in different ways."""
    if x_key == "crash":
        raise LookupError("secret of a dependency")
    if x_key == "close":
        raise WebSocketException(4001, "wrong key")
    if x_key != "right":
        raise HTTPException(402, "Wrong key.", {"X-Hint": "right"})


@dependencies_api.websocket("/locked/{room_id}", dependencies=[Depends(require_key)])
async def locked(websocket: WebSocket, limit: int = 1):
    await websocket.accept()
    await websocket.send_text("unlocked")


def hold_in_thread(websocket: WebSocket) -> Iterator[str]:
    """Note what the handler ended by, from a thread."""
    record(websocket, "thread opened")
    try:
        yield "thread"
    except BaseException as error:
        record(websocket, f"thread saw {type(error).__name__}")
        raise
    finally:
        record(websocket, "thread closed")


async def hold_on_loop(websocket: WebSocket, below: str = Depends(hold_in_thread)) -> AsyncIterator[str]:
    """Note what the handler ended by, from the event loop."""
    record(websocket, "loop opened")
    try:
        yield f"loop on {below}"
    except BaseException as error:
        record(websocket, f"loop saw {type(error).__name__}")
        raise
    finally:
        await asyncio.sleep(0.01)
        record(websocket, "loop closed")
        print("Let go on the loop", flush=True)


async def wait_for_the_end(websocket: WebSocket) -> None:
    """Wait as a handler that does not look at its client."""
    await asyncio.Event().wait()


ENDS: dict[str, Any] = {
    "waits": wait_for_the_end,
    "receives": lambda websocket: websocket.receive(),
    "returns": lambda _: asyncio.sleep(0),
}


@dependencies_api.websocket("/held/{end}")
async def held(websocket: WebSocket, end: str, value: str = Depends(hold_on_loop)):
    with recorded(websocket):
        await websocket.accept()
        await websocket.send_text(value)
        if end == "raises":
            raise LookupError("secret of a handler")
        await ENDS[end](websocket)


@dependencies_api.websocket("/held-and-refused")
async def held_and_refused(websocket: WebSocket, value: str = Depends(hold_on_loop)):
    raise HTTPException(402, "Not today.")


async def fail_to_let_go(websocket: WebSocket) -> AsyncIterator[None]:
    """Raise at the end."""
    yield
    raise LookupError("secret of a clean-up")


@dependencies_api.websocket("/fails-to-let-go")
async def fails_to_let_go(
    websocket: WebSocket, value: str = Depends(hold_on_loop), failing: None = Depends(fail_to_let_go)
):
    await websocket.accept()
    await websocket.close(4100, "as agreed")
