"""Sessions of the test clients."""

from __future__ import annotations

from typing import Any, assert_type

import msgspec

from django_bolt import BoltAPI
from django_bolt.testing import (
    AsyncTestClient,
    AsyncWebSocketTestSession,
    HandshakeRejected,
    TestClient,
    WebSocketTestSession,
)

api = BoltAPI()


class Said(msgspec.Struct, tag="said"):
    text: str


def test() -> None:
    with TestClient(api) as client:
        assert_type(client, TestClient)
        with client.websocket_connect("/", query={"a": 1}) as session:
            assert_type(session, WebSocketTestSession)
            assert_type(session.accepted_subprotocol, str | None)
            assert_type(session.receive(), str | bytes)
            assert_type(session.receive_text(timeout=1), str)
            assert_type(session.receive_bytes(), bytes)
            assert_type(session.receive_json(), Any)
            assert_type(session.receive_json(type=Said), Said)
            assert_type(session.close_code, int | None)
            for message in session:
                assert_type(message, str | bytes)
            session.send_text(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_asynchronously() -> None:
    async with AsyncTestClient(api) as client:
        assert_type(client, AsyncTestClient)
        async with client.websocket_connect("/", subprotocols=["a"]) as session:
            assert_type(session, AsyncWebSocketTestSession)
            assert_type(session.accepted_subprotocol, str | None)
            assert_type(await session.receive(), str | bytes)
            assert_type(await session.receive_text(), str)
            assert_type(await session.receive_bytes(timeout=1), bytes)
            assert_type(await session.receive_json(), Any)
            assert_type(await session.receive_json(type=Said), Said)
            async for message in session:
                assert_type(message, str | bytes)
            await session.send_json({"a": 1})


def rejected(error: HandshakeRejected) -> None:
    assert_type(error.status, int)
    assert_type(error.headers, dict[str, str])
    assert_type(error.body, bytes)
