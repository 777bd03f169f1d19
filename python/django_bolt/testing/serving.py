"""Endpoints served on an event loop, for connections that are handed to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from django_bolt import _core
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.api import BoltAPI
from django_bolt.server.hub import NativeHub
from django_bolt.server.native import make_reactor
from django_bolt.testing.handlers import ObservedDispatcher
from django_bolt.topics.control import receive as receive_control
from django_bolt.topics.process_broker import make_test_broker

__all__ = ["LEAVE_TIMEOUT", "STOP_TIMEOUT", "Serving"]

LEAVE_TIMEOUT = 0.25
"""Seconds in which a handler may end by itself once its client has left."""
STOP_TIMEOUT = 10.0
"""Seconds in which handlers must end once they are cancelled."""


class Serving:
    """Serves APIs on the event loop that it is started on. Can be started again.

    All that runs beside the handlers, as long as they can be connected to, begins in `start` and ends in `stop`.

    Args:
        apis: APIs to serve.

    Attributes:
        dispatcher: Gets each opening handshake.

    Raises:
        EndpointCollision: Two endpoints have one path.
    """

    def __init__(self, apis: Iterable[BoltAPI]) -> None:
        self.dispatcher = ObservedDispatcher(apis)
        self._hub: NativeHub | None = None
        self._reactor: _core.Reactor | None = None

    async def start(self) -> None:
        """Begin to serve on the running loop, with the settings as they are now."""
        settings, loop = bolt_settings(), asyncio.get_running_loop()
        hub = NativeHub(make_test_broker(settings), receive_control)
        reactor = make_reactor(loop, self.dispatcher, settings, hub=hub)
        await hub.start()
        reactor.start()
        self.dispatcher.observe()
        self._hub, self._reactor = hub, reactor

    def adopt(self, descriptor: int) -> None:
        """Serve a connected socket, which is the server's from then on; on the loop's thread only."""
        assert self._reactor is not None
        self._reactor.adopt(descriptor)

    async def stop(self, *, owns_loop: bool) -> list[BaseException]:
        """Let the handlers end, cancel those that still run, and end the connections.

        Args:
            owns_loop: Whether all other tasks of the loop are the handlers', and cancelled with them.

        Returns:
            What handlers have raised and nobody has taken.

        Raises:
            RuntimeError: A handler does not end.
        """
        try:
            await self._end_handlers(owns_loop)
        finally:
            errors = self.dispatcher.disregard()
            if self._hub is not None and self._reactor is not None:
                await self._hub.stop()
                self._reactor.close()
            self._hub = self._reactor = None
        return errors

    async def _end_handlers(self, owns_loop: bool) -> None:
        handlers = self.dispatcher.tasks
        if handlers:
            # What a handler does when its client leaves is part of what is tested.
            await asyncio.wait(handlers, timeout=LEAVE_TIMEOUT)
        tasks = asyncio.all_tasks() - {asyncio.current_task()} if owns_loop else set(handlers)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        running = (await asyncio.wait(tasks, timeout=STOP_TIMEOUT))[1]
        if running:
            names = self.dispatcher.describe_running() or ", ".join(
                sorted(task.get_name() for task in running)
            )
            raise RuntimeError(f"Did not end within {STOP_TIMEOUT:g} s of being cancelled: {names}")
