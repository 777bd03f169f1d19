"""What handlers did, kept in the server's process for a test to ask about.

A test sends a key of its own in the header field ``X-Test`` of each connection.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from django_bolt import WebSocket, WebSocketDisconnect

_events: dict[str, list[str]] = defaultdict(list)


def key_of(websocket: WebSocket) -> str:
    """Return the key of the test that a connection belongs to."""
    return websocket.headers["x-test"]


def record(websocket: WebSocket, event: str) -> None:
    """Note that something happened on a connection."""
    _events[key_of(websocket)].append(event)


def events_of(key: str) -> list[str]:
    """Return what was noted for a test."""
    return _events[key]


@contextmanager
def recorded(websocket: WebSocket) -> Iterator[None]:
    """Note the beginning and the end of a handler, and what it ended by."""
    key = key_of(websocket)
    _events[key].append("began")
    try:
        yield
    except WebSocketDisconnect as disconnect:
        _events[key].append(f"disconnected {int(disconnect.code)} {disconnect.reason!r}")
        raise
    except BaseException as error:
        _events[key].append(f"raised {type(error).__name__}")
        raise
    else:
        _events[key].append("returned")
