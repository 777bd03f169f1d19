"""One asynchronous interface to both test clients, so that a test is written once and runs on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django_bolt import BoltAPI
from django_bolt.testing import (
    AsyncTestClient,
    AsyncWebSocketTestSession,
    TestClient,
    WebSocketTestSession,
)

__all__ = ["BLOCKING", "KINDS", "Twin", "open_twin"]

BLOCKING, ASYNCHRONOUS = KINDS = ("blocking", "asynchronous")

Session = AsyncWebSocketTestSession
"""What a twin's sessions can do, whatever they are."""


class InThread:
    """A session that blocks, with methods that do so in a thread."""

    def __init__(self, session: WebSocketTestSession) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.session, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **options: Any) -> Any:
            return await asyncio.to_thread(found, *arguments, **options)

        return call

    async def __aenter__(self) -> InThread:
        await asyncio.to_thread(self.session.__enter__)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await asyncio.to_thread(self.session.__exit__, *error)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        for message in await asyncio.to_thread(list, self.session):
            yield message


class Twin:
    """A client of either kind."""

    def __init__(self, client: TestClient | AsyncTestClient) -> None:
        self.client = client

    async def connect(self, path: str, **options: Any) -> Session:
        """Connect as `websocket_connect` does."""
        if isinstance(self.client, AsyncTestClient):
            return await self.client.websocket_connect(path, **options)
        session: Any = InThread(await asyncio.to_thread(self.client.websocket_connect, path, **options))
        return session


@asynccontextmanager
async def open_twin(kind: str, *apis: BoltAPI, **options: Any) -> AsyncIterator[Twin]:
    """Open a client of a kind."""
    if kind != BLOCKING:
        async with AsyncTestClient(*apis, **options) as client:
            yield Twin(client)
        return
    blocking = TestClient(*apis, **options)
    await asyncio.to_thread(blocking.__enter__)
    try:
        yield Twin(blocking)
    except BaseException as error:
        await asyncio.to_thread(blocking.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(blocking.__exit__, None, None, None)
