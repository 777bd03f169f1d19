"""Clients that send and do not read, or are sent to and do not read: the server waits, or ends them; it never grows."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

import pytest

from tests.attacks.serving import KIB, MIB, Bystander, Server, Servers, watch_growth
from tests.attacks.wire import BINARY, PING, PONG, TEXT, Peer, frame, header, parts

FLOOD = 64 * MIB
UNREAD = 4 * KIB
"""Receive buffer of clients that do not read: the kernel shall not take in what the server should hold back."""


@pytest.mark.parametrize(
    ("path", "flooding"),
    [
        ("/echo", frame(PING, bytes(125))),
        ("/echo", frame(PING)),
        ("/echo", frame(TEXT, b"x")),
        ("/echo", frame(TEXT, b"x" * KIB)),
        ("/echo", frame(BINARY, bytes(60 * KIB))),
        ("/deaf", frame(PING, bytes(125))),
        ("/deaf", frame(TEXT, b"x")),
        ("/deaf", frame(BINARY)),
        ("/deaf", frame(BINARY, bytes(60 * KIB))),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]:x}-{len(value)}",
)
def test_a_client_that_floods_and_does_not_read(measured: Server, path: str, flooding: bytes) -> None:
    """The server stops reading: at INBOUND_LIMIT where the handler is slow, at the high-water mark of its answers.

    Bound: 1 MiB (INBOUND_LIMIT) and what one read brings, or 64 KiB of answers and those to one read.
    """
    with measured.open("/echo") as peer:
        assert peer.echoes(b"x" * 60 * KIB)
    many = flooding * (MIB // len(flooding) + 1)
    with (
        Bystander(measured) as bystander,
        watch_growth(measured) as growth,
        measured.open(path, receive_buffer=UNREAD) as peer,
    ):
        sent = peer.push(many, FLOOD)
        peer.reset()
    assert sent < FLOOD, "the server read on, though nobody reads its answers"
    assert growth.peak < (2.5 * MIB if path == "/deaf" else MIB)
    assert bystander.count > 10
    assert bystander.slowest < 0.5


def test_what_is_received_ahead_is_a_setting(servers: Servers) -> None:
    with servers.get(INBOUND_LIMIT=FLOOD).open("/deaf") as peer:
        message = frame(BINARY, bytes(60 * KIB))
        assert peer.push(message, FLOOD // 2) >= FLOOD // 2, "what the default leaves in the kernel is less"


def test_a_flood_of_pings_to_a_handler_that_does_not_receive_is_answered(measured: Server) -> None:
    """Control frames need no handler: with a client that reads, 64 MiB of pings pass through."""
    ping = frame(PING, bytes(125))
    many = ping * (MIB // len(ping))
    pong = len(ping) - 4
    with watch_growth(measured) as growth, measured.open("/deaf") as peer:
        sender = threading.Thread(target=lambda: peer.send(*[many] * 64))
        sender.start()
        expected = 64 * len(many) // len(ping)
        received = bytearray()
        total = 0
        while total < expected * pong:
            data = peer.socket.recv(MIB)
            total += len(data)
            received[:] = data[-pong:]
        sender.join()
        assert total == expected * pong
        assert received == bytes([0x80 | PONG, 125]) + bytes(125)
    assert growth.peak < MIB


def test_a_flood_goes_on_when_the_client_reads_again(measured: Server) -> None:
    """Backpressure loses nothing: every message of a flood is answered, in order."""
    messages = [f"{number:08}".encode() * 128 for number in range(8192)]
    data = b"".join(frame(TEXT, message) for message in messages)
    with watch_growth(measured) as growth, measured.open("/echo", receive_buffer=UNREAD) as peer:
        sent = peer.push(data, len(data), patience=0.3)
        assert sent < len(data)
        sender = threading.Thread(target=lambda: peer.send(data[sent:]))
        sender.start()
        for message in messages:
            assert peer.receive() == (TEXT, message)
        sender.join()
    assert growth.peak < MIB


def test_a_handler_that_produces_waits_for_its_client(measured: Server) -> None:
    with (
        watch_growth(measured) as growth,
        Bystander(measured) as bystander,
        measured.open("/produce", receive_buffer=UNREAD) as peer,
    ):
        assert peer.receive() == (BINARY, bytes(65_536))
        # What the kernel takes is no matter of ours; the server must not have more than a few messages beside it.
        assert bystander_goes_on(bystander)
    assert growth.peak < MIB
    measured.wait_until({"connections": 1})


def bystander_goes_on(bystander: Bystander) -> bool:
    """Wait for a hundred more echoes of a bystander."""
    until = bystander.count + 100
    while bystander.count < until:
        threading.Event().wait(0.01)
    return True


def test_a_client_that_never_reads_is_ended_by_the_ping_timeout(servers: Servers) -> None:
    """A handler that waits for such a client does not wait for ever."""
    server = servers.get(PING_INTERVAL=0.3, PING_TIMEOUT=0.3)
    with server.open("/produce", receive_buffer=UNREAD) as peer:
        server.wait_until({"connections": 2})
        server.wait_until({"connections": 1})
        with suppress(ConnectionResetError):
            peer.read_until_end()


def test_one_of_many_that_never_reads_a_broadcast(measured: Server) -> None:
    """200 MiB go to every client that reads, at full speed; who does not is closed, and memory stays bounded.

    Bound: OUTBOUND_LIMIT, 4 MiB, for the slow client; what the others have not read yet is the same memory.
    """
    readers, count, message = 8, 3200, b"x" * 65_536
    with ExitStack() as peers:
        silent = peers.enter_context(measured.open("/ws/broadcast", receive_buffer=UNREAD))
        audience = [Audience(measured.open("/ws/broadcast"), count, len(message)) for _ in range(readers)]
        for listener in audience:
            peers.enter_context(listener.peer)
        measured.wait_until({"subscribers": readers + 1})
        with watch_growth(measured) as growth, Bystander(measured) as bystander:
            broadcast_to(audience, frame(TEXT, message), count)
        assert {listener.received for listener in audience} == {audience[0].expected}
        assert growth.peak < 8 * MIB
        assert bystander.slowest < 0.5
        measured.wait_until({"subscribers": readers})
        assert_closed_as_too_slow(silent, len(message))
        assert audience[0].peer.echoes(b"the end")


def broadcast_to(audience: list[Audience], message: bytes, count: int) -> None:
    """Have the first of them send, and all receive."""
    for listener in audience:
        listener.start()
    for _ in range(count):
        audience[0].peer.send(message)
    for listener in audience:
        listener.join()


def assert_closed_as_too_slow(peer: Peer, size: int) -> None:
    """Read what the kernel still holds: whole messages, and then 1013 or, CLOSE_TIMEOUT later, a reset."""
    with suppress(ConnectionResetError):
        found = peer.receive()
        while found.opcode == TEXT:
            assert len(found.payload) == size
            found = peer.receive()
        assert found.close_code == 1013


class Audience(threading.Thread):
    """A client that reads all of a broadcast and counts the bytes."""

    def __init__(self, peer: Peer, count: int, size: int) -> None:
        super().__init__(daemon=True)
        self.peer = peer
        self.expected = count * (len(header(0x81, size, masked=False)) + size)
        self.received = 0

    def run(self) -> None:
        """Read."""
        buffer = bytearray(MIB)
        while self.received < self.expected:
            count = self.peer.socket.recv_into(buffer)
            if not count:
                return
            self.received += count


def test_a_client_that_floods_and_leaves_is_forgotten(servers: Servers) -> None:
    """Its end stands behind bytes that nobody reads; the next ping finds it out."""
    server = servers.get(PING_INTERVAL=0.3, PING_TIMEOUT=0.3)
    with server.open("/deaf") as peer:
        peer.push(frame(BINARY, bytes(60 * KIB)), FLOOD, patience=0.2)
        server.wait_until({"connections": 2})
    server.wait_until({"connections": 1, "tasks": 2})


def test_a_client_that_reads_slowly_but_reads_gets_everything(measured: Server) -> None:
    """In a handler of its own, a slow client is waited for and not closed."""
    message = b"x" * 60 * KIB
    with measured.open("/echo", receive_buffer=UNREAD) as peer:
        sender = threading.Thread(target=lambda: peer.send(*[frame(TEXT, message)] * 200))
        sender.start()
        for _ in range(200):
            assert peer.receive() == (TEXT, message)
        sender.join()


def test_bytes_that_come_one_by_one(server: Server) -> None:
    with server.open("/echo") as peer:
        for byte in parts(frame(TEXT, "é✓".encode()), 1):
            peer.send(byte)
        assert peer.receive() == (TEXT, "é✓".encode())
