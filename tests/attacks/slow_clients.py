"""The slow-client proof: 500 clients of the specification's broadcast endpoint, 5 of which never read.

The other 495 must get everything at full speed, the 5 must be closed, and the server's memory must stay within
what OUTBOUND_LIMIT allows. Run ``python -m tests.attacks.slow_clients`` for figures.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.attacks.serving import KIB, MIB, Bystander, Server, watch_growth
from tests.attacks.wire import TEXT, Peer, frame, header

MESSAGE = 64 * KIB
WINDOW = 4
"""Messages that the speaker is ahead of its own reading."""
UNREAD = 4 * KIB
OUTBOUND_LIMIT = 4 * MIB


class Figures(NamedTuple):
    """What came of it."""

    listeners: int
    complete: int
    slow: int
    closed: int
    endings: dict[str, int]
    seconds: float
    delivered: int
    growth: int
    slowest_echo: float

    def lines(self) -> list[str]:
        """Return the figures, one a line."""
        rate = self.delivered / self.seconds
        return [
            f"{self.complete} of {self.listeners} clients that read got every message, in order",
            f"{self.closed} of {self.slow} clients that did not were ended: {self.endings}",
            (
                f"{self.delivered} messages of {MESSAGE // KIB} KiB in {self.seconds:.1f} s: {rate:.0f} a second, "
                f"{rate * MESSAGE / MIB:.0f} MiB a second"
            ),
            f"the server grew by {self.growth / MIB:.1f} MiB at most",
            f"the slowest echo beside it took {self.slowest_echo * 1000:.0f} ms",
        ]


class Listener:
    """Checks that numbered messages of one size come whole and in order, without keeping them.

    Args:
        peer: Its connection.
    """

    HEADER = header(0x80 | TEXT, MESSAGE, masked=False)
    NUMBER = 8

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.count = 0
        self._offset = 0
        self._prefix = b""
        peer.socket.setblocking(False)

    def read(self, buffer: bytearray) -> None:
        """Take what has come, as far as the buffer reaches."""
        length = self.peer.socket.recv_into(buffer)
        assert length, f"ended after {self.count} messages"
        frame_size, prefix_size = len(self.HEADER) + MESSAGE, len(self.HEADER) + self.NUMBER
        position = 0
        while position < length:
            if self._offset < prefix_size:
                taken = bytes(buffer[position : min(length, position + prefix_size - self._offset)])
                self._prefix += taken
            else:
                taken = b""
            step = min(length - position, frame_size - self._offset)
            if len(self._prefix) == prefix_size and taken:
                assert self._prefix == self.HEADER + b"%08d" % self.count, self._prefix
            self._offset += step
            position += step
            if self._offset == frame_size:
                self.count, self._offset, self._prefix = self.count + 1, 0, b""


def message(number: int) -> bytes:
    """Return a numbered message as a frame of a client."""
    return frame(TEXT, b"%08d" % number + b"x" * (MESSAGE - Listener.NUMBER))


def prove(server: Server, clients: int = 500, slow: int = 5, count: int = 200) -> Figures:
    """Broadcast to clients of which some never read.

    Args:
        server: A server with the default OUTBOUND_LIMIT.
        clients: Number of clients.
        slow: How many of them never read.
        count: Number of messages.
    """
    with ExitStack() as stack:
        silent = [
            stack.enter_context(server.open("/ws/broadcast", receive_buffer=UNREAD)) for _ in range(slow)
        ]
        listeners = [
            Listener(stack.enter_context(server.open("/ws/broadcast"))) for _ in range(clients - slow)
        ]
        server.wait_until({"subscribers": clients}, within=20)
        with watch_growth(server) as growth, Bystander(server) as bystander:
            seconds = _broadcast(listeners, count)
        server.wait_until({"subscribers": clients - slow}, within=10)
        endings = [_ending(peer) for peer in silent]
    return Figures(
        listeners=len(listeners),
        complete=sum(listener.count == count for listener in listeners),
        slow=slow,
        closed=len(endings) - endings.count("still open"),
        endings={ending: endings.count(ending) for ending in sorted(set(endings))},
        seconds=seconds,
        delivered=sum(listener.count for listener in listeners),
        growth=growth.peak,
        slowest_echo=bystander.slowest,
    )


def _broadcast(listeners: list[Listener], count: int) -> float:
    """Have the first of them send, no faster than it reads, until all have everything."""
    buffer, speaker = bytearray(MIB), listeners[0]
    sent, unsent = 0, memoryview(b"")
    start = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener.peer.socket, selectors.EVENT_READ, listener)
        left = len(listeners)
        while left:
            if not unsent and sent < min(count, speaker.count + WINDOW):
                sent, unsent = sent + 1, memoryview(message(sent))
            if unsent:
                unsent = unsent[_send_some(speaker.peer.socket, unsent) :]
            events = selector.select(0.001 if unsent else 10)
            assert events or unsent, [listener.count for listener in listeners]
            for key, _ in events:
                key.data.read(buffer)
                if key.data.count == count:
                    selector.unregister(key.fileobj)
                    left -= 1
    return time.monotonic() - start


def _send_some(connection: socket.socket, data: memoryview) -> int:
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0


def _ending(peer: Peer) -> str:
    """Read what the kernel holds for a client that never read; return how its connection ended."""
    try:
        found = peer.receive()
        while found.opcode == TEXT:
            found = peer.receive()
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "still open"
    return f"close {found.close_code}"


def main() -> None:
    """Print the figures."""
    with TemporaryDirectory() as folder, Server(Path(folder) / "log", "127.0.0.1:0") as server:
        for slow in (0, 5):
            print(f"--- with {slow} slow clients", *prove(server, slow=slow).lines(), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
