"""A reactor on the test's own loop, and clients that reach it over socket pairs or loopback TCP."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from django_bolt import WebSocketDisconnect, _core

DEADLINE = 5.0
"""Seconds after which a test gives up waiting; what works takes milliseconds."""


class Peer(_core.Connection):
    """The server's side of a connection."""

    __slots__ = ("__weakref__",)


Handler = Callable[[Peer], Coroutine[Any, Any, Any]]


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Let the loop run until a condition holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"gave up waiting for {what or condition}"
        await asyncio.sleep(0.001)


async def hold(ws: Peer) -> None:
    """Accept, and leave the rest to the test."""
    await ws.accept_handshake(None, [])
    await asyncio.get_running_loop().create_future()


async def echo(ws: Peer) -> None:
    """Send back what comes."""
    await ws.accept_handshake(None, [])
    async for message in ws:
        await ws.send(message)


class Client:
    """The client's side, on a connected socket.

    Attributes:
        events: What came and was not taken, as `ClientProtocol.receive_data` gives it; at the end ``("eof",)`` or
            ``("reset",)``.
    """

    def __init__(
        self,
        connection: socket.socket,
        target: str = "/",
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
    ) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.protocol = _core.ClientProtocol(target, "testserver", headers, subprotocols)
        self.events: deque[tuple[Any, ...]] = deque()
        self.is_over = False

    async def open(self, early: bytes = b"") -> Client:
        """Send the opening handshake, with bytes behind it, and wait until it is accepted."""
        await self.send(self.protocol.request() + early)
        event = await self.event()
        assert event[0] == "accepted", event
        return self

    async def send(self, *frames: bytes) -> None:
        """Send bytes."""
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_sendall(self.connection, b"".join(frames))

    async def text(self, *messages: str) -> None:
        """Send text messages, all in one piece."""
        await self.send(*map(self.protocol.text, messages))

    async def read(self, size: int = 1 << 20) -> bytes:
        """Read once, without the protocol."""
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().sock_recv(self.connection, size)

    async def event(self) -> tuple[Any, ...]:
        """Wait for the next event."""
        while not self.events:
            await self._receive()
        return self.events.popleft()

    async def _receive(self) -> None:
        assert not self.is_over, "the connection is over already"
        try:
            data = await self.read()
        except (ConnectionResetError, BrokenPipeError):
            self.is_over = True
            self.events.append(("reset",))
            return
        if data:
            self.events.extend(self.protocol.receive_data(data))
        else:
            self.is_over = True
            self.events.append(("eof",))

    async def message(self) -> str | bytes:
        """Wait for the next event, which must be a message."""
        kind, *values = await self.event()
        assert kind in ("text", "bytes"), (kind, *values)
        message: str | bytes = values[0]
        return message

    async def rest(self) -> list[tuple[Any, ...]]:
        """Return every event up to the end of the connection."""
        while not self.is_over:
            await self._receive()
        rest, self.events = list(self.events), deque()
        return rest

    async def end(self, code: int = 1000) -> None:
        """Close as a good client does, and see the server do so, too."""
        await self.send(self.protocol.close(code))
        assert (await self.rest())[-2:] == [("close", code, ""), ("eof",)]
        self.drop()

    def drop(self) -> None:
        """End TCP without a Close frame."""
        self.connection.close()

    def reset(self) -> None:
        """End TCP by RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Server:
    """A reactor with a handler's task for each connection.

    Args:
        handler: What runs for each connection.
        application: Called instead of starting the handler.
        http: As for `Reactor`.
        hub: As for `Reactor`.
        options: As for `Options`.

    Attributes:
        outcomes: How each handler ended: the exception, or None.
        tasks: Running handlers.
    """

    def __init__(
        self,
        handler: Handler = hold,
        *,
        application: Callable[[Peer], None] | None = None,
        http: Callable[[int, bytes], None] | None = None,
        hub: _core.Hub | None = None,
        **options: Any,
    ) -> None:
        self.handler = handler
        self.outcomes: list[BaseException | None] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.clients: list[Client] = []
        self.loop = asyncio.get_running_loop()
        application = application or self._begin
        self.reactor = _core.Reactor(self.loop, Peer, application, http, _core.Options(**options), hub)

    @property
    def peers(self) -> list[Peer]:
        """The connections, oldest first."""
        peers = [peer for peer in self.reactor.connections() if isinstance(peer, Peer)]
        return sorted(peers, key=lambda peer: peer.id)

    def _begin(self, ws: Peer) -> None:
        task = self.loop.create_task(self._run(ws))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        ws.attach_task(task)

    async def _run(self, ws: Peer) -> None:
        ws.enter_handler()
        outcome: BaseException | None = None
        try:
            await self.handler(ws)
        except BaseException as error:
            # Without its frames, which would keep the connection alive.
            outcome = error if isinstance(error, AssertionError) else error.with_traceback(None)
        finally:
            ws.detach_task()
            self.outcomes.append(outcome)
        if isinstance(outcome, asyncio.CancelledError):
            raise asyncio.CancelledError

    def client(self, buffer: int = 0, **options: Any) -> Client:
        """Return a client on a socket pair, its opening handshake not yet sent.

        Args:
            buffer: Bytes that the kernel keeps in each direction; 0 for the system's default.
            options: As for `Client`.
        """
        ours, theirs = socket.socketpair()
        if buffer:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        client = Client(theirs, **options)
        self.clients.append(client)
        self.reactor.adopt(ours.detach())
        return client

    async def open(self, buffer: int = 0, **options: Any) -> tuple[Client, Peer]:
        """Return both sides of a new connection that was accepted."""
        before = {peer.id for peer in self.peers}
        client = await self.client(buffer, **options).open()
        (peer,) = (peer for peer in self.peers if peer.id not in before)
        return client, peer

    def listen(self, host: str = "127.0.0.1") -> socket.socket:
        """Listen on a free port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.bind((host, 0))
        listener.listen(1024)
        self.reactor.listen(listener.fileno())
        return listener

    async def connect(self, listener: socket.socket, **options: Any) -> Client:
        """Return a client on a TCP connection, its opening handshake not yet sent."""
        connection = socket.socket(listener.family)
        connection.setblocking(False)
        await self.loop.sock_connect(connection, listener.getsockname())
        client = Client(connection, **options)
        self.clients.append(client)
        return client

    async def ended(self, count: int = 1) -> BaseException | None:
        """Wait until so many handlers have ended; returns how the last did."""
        await until(lambda: len(self.outcomes) >= count, f"the end of {count} handlers")
        outcome = self.outcomes[-1]
        if isinstance(outcome, AssertionError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Close the reactor from the loop, as no task's business."""
        closed = self.loop.create_future()

        def close() -> None:
            self.reactor.close()
            closed.set_result(None)

        self.loop.call_soon(close)
        async with asyncio.timeout(DEADLINE):
            await closed

    async def stop(self) -> None:
        """Cancel the handlers, end everything, and raise what a handler asserted in vain."""
        tasks = set(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=DEADLINE)
        await self.close()
        for client in self.clients:
            client.drop()
        for outcome in self.outcomes:
            if isinstance(outcome, AssertionError):
                raise outcome


async def disconnect_of(ws: Peer) -> WebSocketDisconnect:
    """Receive until the connection ends, and return how it did."""
    try:
        while True:
            await ws.receive()
    except WebSocketDisconnect as error:
        return error


async def settle(turns: int = 5) -> None:
    """Let the loop turn a few times, where nothing that could be waited for is expected."""
    for _ in range(turns):
        await asyncio.sleep(0)


def close_quietly(connection: socket.socket) -> None:
    """Close a socket that may be closed already."""
    with suppress(OSError):
        connection.close()
