"""Tests of WebSocket endpoints, without a server: the real protocol on the real core, over a socket pair."""

from django_bolt.testing.client import TestClient
from django_bolt.testing.session import HandshakeRejected, WebSocketTestSession

__all__ = ["HandshakeRejected", "TestClient", "WebSocketTestSession"]
