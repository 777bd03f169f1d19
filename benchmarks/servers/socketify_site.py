"""The handlers on socketify (uWebSockets): it has callbacks only. Usage: python socketify_site.py PORT"""

from __future__ import annotations

import sys
from typing import Any

from messages import decode, encode
from socketify import App, AppListenOptions, CompressOptions, OpCode
from tokens import user_of

IDLE_TIMEOUT = 20
MAX_SIZE = 1 << 20
COMPRESSION = CompressOptions.SHARED_COMPRESSOR | CompressOptions.SHARED_DECOMPRESSOR
connected_clients: set[Any] = set()


def echo(ws: Any, message: Any, _: OpCode) -> None:
    """Send a message back with a prefix; compressed, where the client has asked for that."""
    ws.send(f"Echo: {message}", OpCode.TEXT, True)


def broadcast(_: Any, message: Any, opcode: OpCode) -> None:
    """Send a message to all clients."""
    for client in connected_clients:
        client.send(message, opcode)


def publish(ws: Any, message: Any, opcode: OpCode) -> None:
    """Publish a message in the topic."""
    ws.publish("room", message, opcode)


def binary(ws: Any, message: Any, opcode: OpCode) -> None:
    """Send a message back."""
    ws.send(message, opcode)


def json(ws: Any, message: Any, _: OpCode) -> None:
    """Decode a message into a struct, and send that back."""
    ws.send(encode(decode(message)), OpCode.TEXT)


def protect(response: Any, request: Any, context: Any) -> None:
    """Let in who has a token."""
    if user_of(request.get_header("authorization")) is None:
        response.write_status(401).end("")
        return
    fields = ("sec-websocket-key", "sec-websocket-protocol", "sec-websocket-extensions")
    response.upgrade(*(request.get_header(field) for field in fields), context)


def behaviour(message: Any, **others: Any) -> dict[str, Any]:
    """Return what App.ws takes."""
    limits = {"max_payload_length": MAX_SIZE, "idle_timeout": IDLE_TIMEOUT, "max_backpressure": 1 << 26}
    return {"compression": None, **limits, "message": message, **others}


def main() -> None:
    """Serve."""
    app = App()
    app.ws("/ws/echo", behaviour(echo, compression=COMPRESSION))
    app.ws("/ws/protected", behaviour(echo, upgrade=protect))
    app.ws("/ws/binary", behaviour(binary))
    app.ws("/ws/json", behaviour(json))
    app.ws("/ws/topic", behaviour(publish, open=lambda ws: ws.subscribe("room")))
    app.ws(
        "/ws/broadcast",
        behaviour(
            broadcast,
            open=connected_clients.add,
            close=lambda ws, _code, _reason: connected_clients.discard(ws),
        ),
    )
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda _: None)
    app.run()


if __name__ == "__main__":
    main()
