"""What type checkers infer of the test clients; read by them, never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from django_bolt import BoltAPI
from django_bolt.testing import (
    AsyncTestClient,
    AsyncWebSocketTestSession,
    HandshakeRejected,
    TestClient,
    WebSocketTestSession,
)


@dataclass
class Order:
    item: str


api = BoltAPI()

with TestClient(api, timeout=1, headers={"X-Test": "1"}, enforce_csrf_checks=True) as client:
    assert_type(client, TestClient)
    assert_type(client.get("/").status_code, int)
    with client.websocket_connect("/ws", query={"a": [1, 2]}, headers=[("X-A", "1")]) as ws:
        assert_type(ws, WebSocketTestSession)
        assert_type(ws.receive(), str | bytes)
        assert_type(ws.receive_text(), str)
        assert_type(ws.receive_bytes(timeout=0.5), bytes)
        assert_type(ws.receive_json(), Any)
        assert_type(ws.receive_json(type=Order), Order)
        assert_type(ws.wait_closed(), int)
        assert_type(ws.close_code, int | None)
        assert_type(ws.accepted_subprotocol, str | None)
        for message in ws:
            assert_type(message, str | bytes)


async def asynchronously() -> None:
    async with AsyncTestClient(api) as client:
        assert_type(client, AsyncTestClient)
        assert_type((await client.get("/")).status_code, int)
        assert_type(await client.websocket_connect("/ws"), AsyncWebSocketTestSession)
        async with client.websocket_connect("/ws") as ws:
            assert_type(ws, AsyncWebSocketTestSession)
            assert_type(await ws.receive(), str | bytes)
            assert_type(await ws.receive_text(), str)
            assert_type(await ws.receive_json(), Any)
            assert_type(await ws.receive_json(type=Order), Order)
            async for message in ws:
                assert_type(message, str | bytes)
        client.websocket_connect("/ws").send_text("x")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        """A connection that is not awaited is none."""


def refused(error: HandshakeRejected) -> None:
    assert_type(error.status, int)
    assert_type(error.headers, dict[str, str])
    assert_type(error.body, bytes)
