"""WebSockets for Django: typed endpoints on a native core."""

from django_bolt.close_codes import CloseCode
from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.dependencies.depends import Depends
from django_bolt.endpoints.parameters.sources import Cookie, Header, Path, Query
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import (
    BoltError,
    EndpointCollision,
    EnvironmentFailure,
    HTTPException,
    InvalidHandler,
    InvalidMessage,
    InvalidParameters,
    InvalidPath,
    PeerError,
    UnsupportedData,
    UsageError,
    WebSocketDisconnect,
    WebSocketException,
    WrongState,
)

__all__ = [
    "BoltAPI",
    "BoltError",
    "CloseCode",
    "Cookie",
    "Depends",
    "EndpointCollision",
    "EnvironmentFailure",
    "HTTPException",
    "Header",
    "InvalidHandler",
    "InvalidMessage",
    "InvalidParameters",
    "InvalidPath",
    "Path",
    "PeerError",
    "Query",
    "UnsupportedData",
    "UsageError",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "WebSocketState",
    "WrongState",
]
