"""What happened to users a moment ago, for connections that are being authenticated meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from django_bolt.auth.identity import Identity
from django_bolt.auth.session import ANY_SESSION
from django_bolt.endpoints.user_events import LoggedOut, PermissionsChanged, UserEvent

__all__ = ["RecentEvents"]

ENDED_TIME = 60.0
"""Seconds for which a session that has ended is remembered: Django says so before it deletes it."""
KEPT = 1000
"""Events that are remembered."""


class RecentEvents:
    """Remembers events, so that none falls between looking a user up and knowing its connection."""

    def __init__(self) -> None:
        self._events: deque[tuple[float, UserEvent]] = deque(maxlen=KEPT)
        self._ended: dict[str, tuple[float, LoggedOut]] = {}

    def begin(self) -> float:
        """Return the time at which an authentication begins."""
        return time.monotonic()

    def note(self, event: UserEvent) -> None:
        """Remember an event; from any thread."""
        now = time.monotonic()
        self._events.append((now, event))
        # Where one mark stands for all sessions of a user, the next log-in has it too.
        if isinstance(event, LoggedOut) and not event.session.startswith(ANY_SESSION):
            for mark, (ended_at, _) in tuple(self._ended.items()):
                if now - ended_at > ENDED_TIME:
                    self._ended.pop(mark, None)
            self._ended[event.session] = (now, event)

    def since(self, began: float, identity: Identity) -> Iterator[UserEvent]:
        """Yield what has happened to a user since a time, and the end of its session also if it was before."""
        if identity.session in self._ended:
            yield self._ended[identity.session][1]
        if not self._events or self._events[-1][0] < began:
            return
        for at, event in tuple(self._events):
            if at >= began and _concerns(event, identity):
                yield event


def _concerns(event: UserEvent, identity: Identity) -> bool:
    if isinstance(event, PermissionsChanged):
        return event.users is None or identity.key in event.users
    return event.user == identity.key
