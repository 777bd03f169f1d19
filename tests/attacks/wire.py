"""A client that may do anything: it sends bytes, and knows of the protocol what it needs to read the answers."""

from __future__ import annotations

import ctypes
import json
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PATIENCE = 10.0
"""Seconds to wait for an answer that has no deadline of its own."""
AT_ONCE = 1.0
"""Seconds within which a server must end TCP after it failed a connection."""


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """Return a frame as a client sends it.

    Its masking key is zero, so that large payloads need no work; the server unmasks it like any other.
    """
    first = (0x80 if final else 0) | rsv << 4 | opcode
    return header(first, len(payload), masked=masked) + payload


def header(first: int, length: int, *, masked: bool = True) -> bytes:
    """Return a frame's header with any first byte and any length, true or not."""
    mask_bit, key = (0x80, bytes(4)) if masked else (0, b"")
    if length < 126:
        return bytes([first, mask_bit | length]) + key
    if length < 65536:
        return struct.pack("!BBH", first, mask_bit | 126, length) + key
    return struct.pack("!BBQ", first, mask_bit | 127, length) + key


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return a Close frame with a code, allowed or not."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def handshake(path: str, host: str, *fields: str) -> bytes:
    """Return an opening handshake with further header fields, given as lines."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *fields,
    ]
    return request(*lines)


def request(*lines: str) -> bytes:
    """Return a request without a body out of its lines."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Frame(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code of a Close frame; None if it has none."""
        assert self.opcode == CLOSE, self
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None


class Response(NamedTuple):
    """The head of an HTTP response."""

    status: int
    fields: dict[str, str]


class Peer:
    """The client's end of a connection, blocking.

    Args:
        connection: A connected socket, TLS included.
        host: Value of the ``Host`` field.
    """

    def __init__(self, connection: socket.socket, host: str) -> None:
        self.socket = connection
        self.host = host
        self._read = bytearray()
        connection.settimeout(PATIENCE)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """End TCP by a reset, as a client does that vanishes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def die(self) -> None:
        """Drop everything that comes from now on, before TCP sees it: as if the machine were gone. Linux only."""
        attach_filter, return_constant = 26, 0x06  # SO_ATTACH_FILTER; BPF_RET of <linux/filter.h>
        program = ctypes.create_string_buffer(struct.pack("HBBI", return_constant, 0, 0, 0))
        self.socket.setsockopt(
            socket.SOL_SOCKET, attach_filter, struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
        )

    def open(self, path: str, *fields: str) -> Peer:
        """Do the opening handshake, which must succeed."""
        response = self.request(handshake(path, self.host, *fields))
        assert response.status == 101, response
        return self

    def request(self, data: bytes) -> Response:
        """Send bytes and read the head of an HTTP response."""
        self.socket.sendall(data)
        return self.receive_response()

    def receive_response(self) -> Response:
        """Read the head of an HTTP response."""
        head = self._take_line()
        fields = iter(self._take_line, "")
        status = int(head.split(" ")[1])
        return Response(
            status, {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
        )

    def send(self, *frames: bytes) -> None:
        """Send bytes, which may be right or wrong."""
        self.socket.sendall(b"".join(frames))

    def push(self, data: bytes, total: int, patience: float = 1.0) -> int:
        """Send the same bytes again and again, until so many were sent or the server has stopped reading.

        Returns:
            Number of bytes that were sent.
        """
        self.socket.setblocking(False)
        view, sent = memoryview(data), 0
        while sent < total and select.select((), (self.socket,), (), patience)[1]:
            sent += self.socket.send(view[sent % len(data) :])
        self.socket.settimeout(PATIENCE)
        return sent

    def receive(self) -> Frame:
        """Read the next frame."""
        first, length = self.take(2)
        assert not length & 0x80, "frames of a server are not masked"
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
        assert first & 0xF0 == 0x80, f"a final frame without reserved bits, not {first:#x}"
        return Frame(first & 0x0F, self.take(length))

    def receive_json(self) -> Any:
        """Read a text message and decode it."""
        opcode, payload = self.receive()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    def receive_close(self) -> Frame:
        """Skip frames up to a Close frame and return that."""
        while True:
            found = self.receive()
            if found.opcode == CLOSE:
                return found

    def echoes(self, payload: bytes = b"still here") -> bool:
        """Ask an echo for an answer."""
        self.send(frame(TEXT, payload))
        return self.receive() == (TEXT, payload)

    def expect_failure(self, code: int) -> None:
        """Read a Close frame with the code as the next frame, and then TCP's end without delay."""
        found = self.receive()
        assert found.opcode == CLOSE, found
        assert found.close_code == code, found
        self.expect_end()

    def expect_end(self, within: float = AT_ONCE) -> None:
        """Read TCP's end, before the time is over and with nothing before it."""
        self.socket.settimeout(within)
        assert not self._read, bytes(self._read)
        assert not self.socket.recv(1)

    def read_until_end(self, within: float = PATIENCE) -> bytes:
        """Read everything up to TCP's end."""
        deadline = time.monotonic() + within
        while self._receive(deadline):
            pass
        return bytes(self._read)

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        deadline = time.monotonic() + PATIENCE
        while len(self._read) < count:
            assert self._receive(deadline), f"the connection ended after {bytes(self._read)!r}"
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken

    def _take_line(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while b"\r\n" not in self._read:
            assert self._receive(deadline), f"the connection ended after {bytes(self._read)!r}"
        line, _, rest = self._read.partition(b"\r\n")
        self._read = rest
        return line.decode("latin-1")

    def _receive(self, deadline: float) -> bool:
        """Read once; False at the end."""
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        data = self.socket.recv(1 << 18)
        self._read += data
        return bool(data)


def parts(data: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces."""
    return (data[start : start + size] for start in range(0, len(data), size))
