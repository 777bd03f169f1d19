"""The native core as the engine of the endpoint layer."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

from django_bolt import _core
from django_bolt.conf import BoltSettings
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.server.hub import NativeHub

__all__ = ["NativeWebSocket", "make_reactor"]


class NativeWebSocket(_core.Connection, WebSocket):
    """A `WebSocket` on the native core, whose methods come first: a message passes through no Python of ours."""

    # __weakref__: applications keep connections in weak sets and dictionaries.
    __slots__ = (*WebSocket.CACHE_SLOTS, "__weakref__")


def make_reactor(
    loop: AbstractEventLoop,
    dispatcher: Dispatcher,
    settings: BoltSettings,
    http: Callable[[int, bytes, tuple[str, int] | None, bool], None] | None = None,
    hub: NativeHub | None = None,
) -> _core.Reactor:
    """Make a reactor that shows each opening handshake to the dispatcher, with the limits of the settings.

    Args:
        loop: The loop to serve on.
        dispatcher: Gets each `NativeWebSocket`.
        settings: Limits and times.
        http: As for `django_bolt._core.Reactor`.
        hub: Topics for the connections.
    """
    return _core.Reactor(loop, NativeWebSocket, dispatcher, http, _options(settings), hub)


def _options(settings: BoltSettings) -> _core.Options:
    return _core.Options(
        max_message_size=settings.max_message_size,
        max_frame_size=settings.max_frame_size,
        max_fragments=settings.max_fragments,
        max_head_size=settings.max_head_size,
        max_connections=settings.max_connections,
        inbound_limit=settings.inbound_limit,
        outbound_limit=settings.outbound_limit,
        message_rate=settings.message_rate or 0.0,
        byte_rate=settings.byte_rate or 0.0,
        rate_waits=settings.rate_limit_action == "wait",
        handshake_timeout=settings.handshake_timeout,
        ping_interval=settings.ping_interval or 0.0,
        ping_timeout=settings.ping_timeout or 0.0,
        close_timeout=settings.close_timeout,
        disconnect_grace=settings.disconnect_grace,
    )
