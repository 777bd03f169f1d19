"""The handlers on picows, with uvloop: it has callbacks only. Usage: python picows_site.py PORT"""

from __future__ import annotations

import sys

import uvloop
from messages import decode, encode
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from tokens import user_of

HEARTBEAT = 20
connected_clients: set[WSTransport] = set()


class Listener(WSListener):
    """What every handler does with frames that hold no message."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code() or WSCloseCode.OK)
            transport.disconnect()
        else:
            self.on_message(transport, frame)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""


class Echo(Listener):
    """Send every message back with a prefix."""

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer."""
        transport.send(WSMsgType.TEXT, f"Echo: {frame.get_payload_as_utf8_text()}".encode())


class Broadcast(Listener):
    """Send every message to all clients."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Remember the client."""
        connected_clients.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget it."""
        connected_clients.discard(transport)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Broadcast to all clients."""
        message = frame.get_payload_as_utf8_text()
        for client in connected_clients:
            client.send(WSMsgType.TEXT, message.encode())


class Binary(Listener):
    """Send every binary message back."""

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer."""
        transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())


class Json(Listener):
    """Decode every message into a struct, and send that back."""

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer."""
        transport.send(WSMsgType.TEXT, encode(decode(frame.get_payload_as_bytes())))


LISTENERS = {b"/ws/echo": Echo, b"/ws/broadcast": Broadcast, b"/ws/binary": Binary, b"/ws/json": Json}


def choose(request: WSUpgradeRequest) -> WSListener | None:
    """Return the listener of the path."""
    if request.path == b"/ws/protected":
        # A missing listener is a refused handshake.
        return Echo() if user_of(request.headers.get("Authorization")) is not None else None
    listener = LISTENERS.get(request.path)
    return listener() if listener else None


async def serve(port: int) -> None:
    """Serve until the process ends."""
    server = await ws_create_server(
        choose,
        "127.0.0.1",
        port,
        enable_auto_ping=True,
        auto_ping_idle_timeout=HEARTBEAT,
        auto_ping_reply_timeout=HEARTBEAT,
        backlog=1024,
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
