from __future__ import annotations

import asyncio
import threading
import time

import pytest

from django_bolt import SyncWebSocket, WebSocket, WebSocketDisconnect, WrongThread
from django_bolt.endpoints import blocking_calls
from tests.memory_connection import MemoryConnection


async def test_on_the_thread_of_the_loop_it_refuses_to_block() -> None:
    websocket = SyncWebSocket(MemoryConnection())
    for operation in (websocket.accept, websocket.close, websocket.receive, lambda: websocket.send_text("x")):
        with pytest.raises(WrongThread, match="asynchronous"):
            operation()


def test_when_the_loop_is_gone_it_raises_as_if_the_client_had_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_calls, "LINGER_TIME", 0.01)
    monkeypatch.setattr(blocking_calls, "POLL_TIME", 0.01)
    loop = asyncio.new_event_loop()
    websocket = loop.run_until_complete(_make(Gone()))
    websocket._calls._thread = 0  # The test's thread was the loop's.
    outcome: list[int] = []

    def accept() -> None:
        try:
            websocket.accept()
        except WebSocketDisconnect as disconnect:
            outcome.append(disconnect.code)

    thread = threading.Thread(target=accept)
    thread.start()
    time.sleep(0.02)
    loop.close()
    thread.join(5)
    assert outcome == [1006]


class Gone(MemoryConnection):
    """A connection whose client is gone."""

    close_code = None
    close_reason = ""


async def _make(connection: WebSocket) -> SyncWebSocket:
    return SyncWebSocket(connection)
