"""Tests of WebSocket endpoints, without a server: the real protocol on the real core, over a socket pair."""

from django_bolt.testing.async_client import AsyncTestClient
from django_bolt.testing.async_session import AsyncWebSocketTestSession
from django_bolt.testing.client import TestClient
from django_bolt.testing.connection import HandshakeRejected
from django_bolt.testing.session import WebSocketTestSession

__all__ = [
    "AsyncTestClient",
    "AsyncWebSocketTestSession",
    "HandshakeRejected",
    "TestClient",
    "WebSocketTestSession",
]
