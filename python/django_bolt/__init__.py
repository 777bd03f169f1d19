"""WebSockets for Django: typed endpoints on a native core."""

from django_bolt.close_codes import CloseCode
from django_bolt.endpoints.announcing import recheck_user
from django_bolt.endpoints.api import BoltAPI
from django_bolt.endpoints.dependencies.depends import Depends
from django_bolt.endpoints.parameters.sources import Cookie, Header, Path, Query
from django_bolt.endpoints.sync_websocket import SyncWebSocket
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import (
    BoltError,
    BrokerUnavailable,
    EndpointCollision,
    EnvironmentFailure,
    HTTPException,
    InvalidHandler,
    InvalidMessage,
    InvalidParameters,
    InvalidPath,
    InvalidTopic,
    PeerError,
    PublicationTooLarge,
    TooManySubscriptions,
    UnsupportedData,
    UsageError,
    WebSocketDisconnect,
    WebSocketException,
    WrongState,
    WrongThread,
)
from django_bolt.topics import (
    Published,
    Subscription,
    adisconnect_user,
    apublish,
    apublish_to_user,
    disconnect_user,
    publish,
    publish_to_user,
)

__all__ = [
    "BoltAPI",
    "BoltError",
    "BrokerUnavailable",
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
    "InvalidTopic",
    "Path",
    "PeerError",
    "PublicationTooLarge",
    "Published",
    "Query",
    "Subscription",
    "SyncWebSocket",
    "TooManySubscriptions",
    "UnsupportedData",
    "UsageError",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "WebSocketState",
    "WrongState",
    "WrongThread",
    "adisconnect_user",
    "apublish",
    "apublish_to_user",
    "disconnect_user",
    "publish",
    "publish_to_user",
    "recheck_user",
]
