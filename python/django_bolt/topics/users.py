"""Publishing to users, and disconnecting them, wherever they are connected."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote

from django_bolt.close_codes import CloseCode, check_close
from django_bolt.topics.control import announce, announce_async, handles
from django_bolt.topics.hub import Hub
from django_bolt.topics.names import MAX_TOPIC_LENGTH
from django_bolt.topics.publishing import (
    Published,
    apublish_encoded,
    make_publication,
    publish_encoded,
)

__all__ = ["adisconnect_user", "apublish_to_user", "disconnect_user", "publish_to_user", "user_topic"]

_DISCONNECT = "disconnect_user"


def user_topic(user: Any) -> str:
    """Return the topic of a user, to which each of the user's connections is subscribed.

    Users may choose what they are named by, so it is quoted: one named ``*`` must not get what is for all others.

    Args:
        user: A user, or the primary key of one; that of the ``user_id`` of `WebSocket.context`.

    Raises:
        ValueError: The user has no primary key: it is anonymous, or was not saved.
    """
    key = getattr(user, "pk", user)
    if key is None:
        raise ValueError(f"{user!r} has no primary key, so that no connection can be known as its own")
    name = quote(str(key), safe="", errors="surrogatepass")
    if len(name) > MAX_TOPIC_LENGTH:
        name = f"#{sha256(name.encode()).hexdigest()}"  # no quoted name has this sign
    return f"$user:{name}"


def publish_to_user(
    user: Any, message: Any, *, on_commit: bool = False, using: str | None = None
) -> Published:
    """Send a message to every connection of a user, in every process; otherwise as `publish`.

    Args:
        user: A user, or the primary key of one.
        message: As for `publish`.
        on_commit: As for `publish`.
        using: As for `publish`.

    Raises:
        ValueError: The user is anonymous, or was not saved.
        As `publish`.
    """
    return publish_encoded(make_publication(user_topic(user), message), on_commit, using)


async def apublish_to_user(user: Any, message: Any) -> Published:
    """Send a message to every connection of a user as `publish_to_user` does, from a coroutine; see `apublish`."""
    return await apublish_encoded(make_publication(user_topic(user), message))


def disconnect_user(user: Any, code: int = CloseCode.POLICY_VIOLATION, reason: str = "") -> int:
    """Close every connection of a user, in every process.

    Args:
        user: A user, or the primary key of one.
        code: Close code.
        reason: Close reason.

    Returns:
        How many connections of this process were closed.

    Raises:
        ValueError: The code may not be sent, the reason is too long, or the user is anonymous, or was not saved.
        BrokerUnavailable: The connections of other processes stay; those of this one were closed.
    """
    check_close(code, reason)
    return announce(_DISCONNECT, topic=user_topic(user), code=int(code), reason=reason)


async def adisconnect_user(user: Any, code: int = CloseCode.POLICY_VIOLATION, reason: str = "") -> int:
    """Close every connection of a user as `disconnect_user` does, from a coroutine."""
    check_close(code, reason)
    return await announce_async(_DISCONNECT, topic=user_topic(user), code=int(code), reason=reason)


@handles(_DISCONNECT)
def _disconnect(hub: Hub, data: dict[str, Any]) -> int:
    connections = hub.members(data["topic"])
    for connection in connections:
        _ = connection.close(data["code"], data["reason"])  # takes effect at the call
    return len(connections)
