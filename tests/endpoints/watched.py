"""Connections under watch, for tests of what closes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from django_bolt.auth import AuthResult, BaseAuthentication, BaseGuard
from django_bolt.auth.identity import Identity
from django_bolt.endpoints.watch import Watch
from tests.auth.accounts import Somebody
from tests.memory_connection import MemoryConnection

TIMEOUT = 5.0


def identified(
    authentication: BaseAuthentication | None = None, *, user_id: Any = 7, **fields: Any
) -> MemoryConnection:
    """Return a connection whose client is known."""
    websocket = MemoryConnection()
    result = AuthResult(user_id, **fields)
    websocket.identify(Identity(authentication or Somebody(), result), dict(result.claims))
    return websocket


def watched(
    authentication: BaseAuthentication | None = None,
    guards: Sequence[BaseGuard] = (),
    **fields: Any,
) -> tuple[MemoryConnection, Watch]:
    """Return a connection with what watches over it, not yet begun."""
    websocket = identified(authentication, **fields)
    assert websocket.identity is not None
    return websocket, Watch(websocket, websocket.identity, guards)


async def until(is_so: Callable[[], Any]) -> None:
    """Give others their turn until something is so."""
    async with asyncio.timeout(TIMEOUT):
        while not is_so():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


async def settle() -> None:
    """Give all that is ready its turn."""
    for _ in range(10):
        await asyncio.sleep(0)
