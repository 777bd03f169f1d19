"""The authenticated connections of this process, by user."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from django_bolt.auth.guards import BaseGuard
from django_bolt.auth.users import user_key
from django_bolt.endpoints.watch import Watch
from django_bolt.endpoints.websocket import WebSocket

__all__ = ["ConnectedUsers", "connected_users"]


class ConnectedUsers:
    """Which connections a user has. May be asked from any thread."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Know nobody, as in the child after a fork: the connections are the parent's."""
        self._watches: dict[str, set[Watch]] = {}
        self._lock = threading.Lock()

    def add(self, websocket: WebSocket, guards: Sequence[BaseGuard]) -> Watch | None:
        """Watch over an authenticated connection until the running task, which serves it, ends.

        Returns:
            What watches over it; None where authentication names no user.
        """
        identity, task = websocket.identity, asyncio.current_task()
        if identity is None or identity.key is None or task is None:
            return None
        key, watch = identity.key, Watch(websocket, identity, guards)
        with self._lock:
            self._watches.setdefault(key, set()).add(watch)
        task.add_done_callback(partial(self._discard, key, watch))
        watch.begin()
        return watch

    def of(self, user_id: Any) -> list[WebSocket]:
        """Return the open connections of a user."""
        return [websocket for watch in self.watches(user_id) if (websocket := watch.websocket) is not None]

    def close(self, user_id: Any, code: int, reason: str) -> int:
        """Close the connections of a user; does not wait.

        Returns:
            How many there were.
        """
        watches = [watch for watch in self.watches(user_id) if watch.websocket is not None]
        for watch in watches:
            watch.close(code, reason)
        return len(watches)

    def watches(self, user_id: Any) -> list[Watch]:
        """Return what watches over the connections of a user."""
        with self._lock:
            return list(self._watches.get(user_key(user_id), ()))

    def all_watches(self) -> list[Watch]:
        """Return what watches over the connections of all users."""
        with self._lock:
            return [watch for watches in self._watches.values() for watch in watches]

    def _discard(self, key: str, watch: Watch, task: asyncio.Task[Any]) -> None:
        watch.end()
        with self._lock:
            watches = self._watches.get(key, set())
            watches.discard(watch)
            if not watches:
                self._watches.pop(key, None)


connected_users = ConnectedUsers()
"""Those of this process."""

os.register_at_fork(after_in_child=connected_users.renew)
