"""Telling the connections of users what has happened to these.

An event is told by `announce`: to this process, and through the broker to others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from django_bolt.auth.user_state import RIGHTS, UserState
from django_bolt.auth.users import user_key
from django_bolt.close_codes import AUTHENTICATION_ENDED
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.connected_users import connected_users
from django_bolt.endpoints.recent_events import RecentEvents
from django_bolt.endpoints.rechecks import request_rechecks
from django_bolt.endpoints.user_events import (
    LoggedOut,
    PermissionsChanged,
    UserDeleted,
    UserEvent,
    UserSaved,
)
from django_bolt.endpoints.watch import Watch
from django_bolt.exceptions import BoltError
from django_bolt.topics.control import handles, tell_others
from django_bolt.topics.hub import Hub

__all__ = [
    "announce",
    "catch_up",
    "recent_events",
    "recheck_user",
    "take_event",
]

logger = logging.getLogger("django_bolt.auth")

recent_events = RecentEvents()
"""Those of this process."""

_KIND = "user_event"


def announce(event: UserEvent) -> None:
    """Tell this process and the others what has happened; from any thread.

    Others that cannot be told are logged: what has happened to the user has happened.
    """
    take_event(event)
    try:
        tell_others(_KIND, event=msgspec.to_builtins(event))
    except BoltError:
        logger.exception("Other processes do not learn of it: %s of user %s", *_summary(event))


def recheck_user(user: Any) -> None:
    """Ask the guards of a user's connections again, after a change that Django sends no signal of.

    Queries like ``QuerySet.update()`` are such. Those guards are asked that follow the user; a connection that one
    refuses is closed with 4403. From any thread, without waiting.

    Args:
        user: The user, or its primary key.
    """
    announce(PermissionsChanged([user_key(getattr(user, "pk", user))]))


def take_event(event: UserEvent) -> None:
    """Do what an event means for the connections of this process; from any thread, without waiting."""
    recent_events.note(event)
    match event:
        case PermissionsChanged(users=None):
            _recheck(connected_users.all_watches())
        case PermissionsChanged(users=list() as users):
            _recheck(watch for user in users for watch in connected_users.watches(user))
        case LoggedOut() | UserSaved() | UserDeleted():
            for watch in connected_users.watches(event.user):
                apply(event, watch)


def catch_up(watch: Watch, since: float) -> None:
    """Do what the events mean that happened while a client was authenticated, after it was added to the others.

    Args:
        watch: What watches over the connection.
        since: What `RecentEvents.begin` returned when its authentication began.
    """
    for event in recent_events.since(since, watch.identity):
        if isinstance(event, PermissionsChanged):
            _recheck([watch])
        else:
            apply(event, watch)


def apply(event: LoggedOut | UserSaved | UserDeleted, watch: Watch) -> None:
    """Do what an event means for one connection of its user."""
    settings = bolt_settings()
    match event:
        case LoggedOut(session=session):
            if settings.close_on_logout == "user" or (
                settings.close_on_logout and watch.identity.session == session
            ):
                watch.close(AUTHENTICATION_ENDED, "logged out")
        case UserDeleted():
            if settings.close_on_deactivation:
                watch.close(AUTHENTICATION_ENDED, "user deleted")
        case UserSaved():
            _apply_saved(event, watch)


def _apply_saved(event: UserSaved, watch: Watch) -> None:
    settings = bolt_settings()
    known = watch.identity.state or UserState()
    changed = known.changed(event.state)
    if settings.close_on_deactivation and event.state.is_active is False and known.is_active is not False:
        watch.close(AUTHENTICATION_ENDED, "user deactivated")
    elif settings.close_on_password_change and (event.has_new_password or "password" in changed):
        watch.close(AUTHENTICATION_ENDED, "password changed")
    elif changed.intersection(RIGHTS):
        _recheck([watch])


@handles(_KIND)
def _take_from_others(hub: Hub, data: dict[str, Any]) -> int:
    take_event(msgspec.convert(data["event"], UserEvent))
    return 0


def _summary(event: UserEvent) -> tuple[str, str]:
    user = event.users if isinstance(event, PermissionsChanged) else event.user
    return type(event).__name__, str(user)


def _recheck(watches: Iterable[Watch]) -> None:
    if bolt_settings().close_on_permission_loss:
        request_rechecks(watches)
