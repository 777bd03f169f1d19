"""The server of one event loop: the reactor for WebSockets and uvicorn for HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from socket import socket
from types import FrameType
from typing import cast

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server

from django_bolt import _core
from django_bolt.close_codes import CloseCode
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.dispatch import Dispatcher
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.server.http import HTTPHandover, ReactorState
from django_bolt.server.hub import NativeHub
from django_bolt.server.listening import detect_dead_peers
from django_bolt.server.native import make_reactor
from django_bolt.server.stopping import STOP_SIGNALS, handle_signals
from django_bolt.server.tls import Certificate, TLSListener
from django_bolt.topics.control import receive as receive_control
from django_bolt.topics.process_broker import make_server_broker

__all__ = ["BoltServer"]

logger = logging.getLogger("django_bolt.server")

BATCH = 100
"""Connections closed at once when the server stops."""
PACE = 0.01
"""Seconds between two looks whether all have ended."""
CANCEL_TIMEOUT = 1.0
"""Seconds in which tasks must end once they are cancelled at the very end."""


class BoltServer(Server):
    """uvicorn's server with the reactor in the place of its listening sockets.

    Args:
        config: uvicorn's.
        dispatcher: Gets each opening handshake of a WebSocket.
        stop_signals: Signals that stop the server gracefully, and at once when one comes again.
        certificate: For TLS; None: without.

    Attributes:
        parent: The process that watches this one; its death stops the server, too.
    """

    def __init__(
        self,
        config: Config,
        dispatcher: Dispatcher,
        stop_signals: tuple[signal.Signals, ...] = STOP_SIGNALS,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state: ReactorState = ReactorState()
        self.dispatcher = dispatcher
        self.stop_signals = stop_signals
        self.certificate = certificate
        self.parent: BaseProcess | None = None
        self._tls: TLSListener | None = None
        self.settings = bolt_settings()

    @property
    def reactor(self) -> _core.Reactor:
        """The reactor, once the server has started."""
        return self.server_state.reactor

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the ASGI application, then accept on the sockets, which must listen."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = []  # uvicorn's own, of which there are none
        loop = asyncio.get_running_loop()
        http = HTTPHandover(self.config, self.server_state, self.lifespan.state)
        self.hub = NativeHub(make_server_broker(self.settings), receive_control)
        await self.hub.start()
        reactor = make_reactor(loop, self.dispatcher, self.settings, http, self.hub)
        self.server_state.reactor = reactor
        reactor.start()
        self._listen(sockets or [])
        if self.parent is not None:
            loop.add_reader(self.parent.sentinel, self._parent_died)
        self.started = True

    def _listen(self, sockets: list[socket]) -> None:
        if self.certificate is not None:
            self._tls = TLSListener(self.reactor, self.certificate, self.settings)
        interval, timeout = self.settings.ping_interval, self.settings.ping_timeout
        for listener in sockets:
            if interval is not None and timeout is not None:
                detect_dead_peers(listener, interval, timeout)
            if self._tls is None:
                self.reactor.listen(listener.fileno())
            else:
                self._tls.listen(listener)

    def _parent_died(self) -> None:
        assert self.parent is not None
        asyncio.get_running_loop().remove_reader(self.parent.sentinel)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Accept no more, close WebSockets with 1012, give handlers and requests their time, and end."""
        self.reactor.stop_listening()
        if self._tls is not None:
            self._tls.stop_listening()
        await asyncio.gather(self._drain(), super().shutdown(sockets))
        # As no task's business: it wakes tasks, and no task may run inside another.
        asyncio.get_running_loop().call_soon(self.reactor.close)
        await self._end_tasks()
        await self.hub.stop()

    async def _drain(self) -> None:
        await self._close_all()
        await self._wait_for_handlers()
        for task in self.dispatcher.tasks:
            task.cancel()
        # Each closing handshake ends by itself after CLOSE_TIMEOUT at the latest; a handler that catches its
        # cancellation is not waited for.
        deadline = time.monotonic() + self.settings.close_timeout + 1
        while self.reactor.connections() and not self.force_exit and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(PACE)

    async def _close_all(self) -> None:
        """Close with 1012, in batches and in random order: clients come back at once, and shall not all do so."""
        connections = list(cast(Sequence[WebSocket], self.reactor.connections()))
        random.shuffle(connections)
        batches = [connections[start : start + BATCH] for start in range(0, len(connections), BATCH)]
        for number, batch in enumerate(batches):
            for websocket in batch:
                if websocket.state is WebSocketState.CONNECTING:
                    await websocket.reject_handshake(503, [("Retry-After", "1")], b"")
                else:
                    await websocket.close(CloseCode.SERVICE_RESTART, "server restarts")
            if number + 1 < len(batches):
                await self._pause(self.settings.drain_spread / (len(batches) - 1))

    async def _pause(self, mean: float) -> None:
        """Wait about so long, with jitter, or until a second signal."""
        deadline = time.monotonic() + random.uniform(0.5, 1.5) * mean
        while not self.force_exit and (left := deadline - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(0.1, left))

    async def _wait_for_handlers(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.drain_timeout
        while self.dispatcher.tasks and not self.force_exit and loop.time() < deadline:
            # In steps, so that a second signal is not kept waiting.
            await asyncio.wait(self.dispatcher.tasks, timeout=min(0.1, max(0.0, deadline - loop.time())))

    async def _end_tasks(self) -> None:
        """Cancel what still runs, and leave behind what refuses: it must not keep the process for ever."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        stubborn = (await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT))[1] if tasks else set()
        for task in stubborn:
            logger.error("%s ignores its cancellation; the server ends without it", task)
            asyncio._unregister_task(task)  # the end of the loop waits for those that it knows

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Stop on the signals; having stopped so is success, not death by a signal."""
        return handle_signals(self.stop_signals, self.handle_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; on a second signal at once."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
