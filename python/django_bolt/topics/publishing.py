"""`publish`, from wherever code of a project runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from django.db import transaction

from django_bolt.conf import bolt_settings
from django_bolt.topics.brokers import Broker
from django_bolt.topics.encoding import encode_message
from django_bolt.topics.hub import running_hubs
from django_bolt.topics.names import check_topic
from django_bolt.topics.process import process_id
from django_bolt.topics.process_broker import process_broker
from django_bolt.topics.publication import Publication, check_size

__all__ = [
    "Published",
    "apublish",
    "apublish_encoded",
    "hand_over",
    "hand_over_async",
    "make_publication",
    "publish",
    "publish_encoded",
]


class Published(NamedTuple):
    """What is known of a publication when `publish` returns.

    Attributes:
        receivers: Connections of this process that it was queued for; None if it waits for a commit.
        accepted: Whether the broker has taken it for the other processes: None if it will be handed over soon, or
            waits for a commit. How many connections of other processes get it nobody knows.
    """

    receivers: int | None
    accepted: bool | None


class _Connection(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def ready_state(self) -> int: ...


def publish(
    topic: str,
    message: Any,
    *,
    exclude: _Connection | None = None,
    on_commit: bool = False,
    using: str | None = None,
) -> Published:
    """Send a message to every connection that is subscribed to a topic, in every process.

    From any thread and any process of the project: a view, a signal, a management command, a Celery task, a shell.
    Where an event loop runs in this thread, the message is queued for the other processes, and the loop is not kept
    waiting; elsewhere it is handed to the broker, which takes ``BROKER_TIMEOUT`` at most.

    Args:
        topic: Name of the topic.
        message: `str` for a text message, bytes for a binary one, anything else for its JSON.
        exclude: A connection of this process that does not get it, such as the sender's own.
        on_commit: Publish when the current transaction is committed, and not at all if it is rolled back. The message
            is encoded at once.
        using: Alias of the database of that transaction; only with ``on_commit``.

    Returns:
        How many connections of this process it reached, and whether the broker has it.

    Raises:
        InvalidTopic: The name breaks a rule.
        TypeError: The message has no JSON form, `exclude` is no connection, or ``using`` comes without ``on_commit``.
        SynchronousOnlyOperation: Of Django: ``on_commit`` in a coroutine, which no transaction can be around.
        PublicationTooLarge: It exceeds ``MAX_PUBLICATION_SIZE``. Nobody got it.
        BrokerUnavailable: The other processes do not get it; the subscribers of this one have got it.
    """
    return publish_encoded(make_publication(check_topic(topic), message, exclude), on_commit, using)


async def apublish(topic: str, message: Any, *, exclude: _Connection | None = None) -> Published:
    """Publish as `publish` does, from a coroutine, and wait until the broker has taken the message.

    The subscribers of this process have got it when the coroutine first waits; cancelled, it may have reached the
    other processes or not.

    Raises:
        As `publish`.
    """
    return await apublish_encoded(make_publication(check_topic(topic), message, exclude))


def publish_encoded(publication: Publication, on_commit: bool, using: str | None) -> Published:
    """Publish what is encoded and checked; otherwise as `publish`."""
    if on_commit:
        # Robust, since what is committed is committed: a failure is logged, and other hooks still run.
        transaction.on_commit(lambda: _publish_now(publication), using=using, robust=True)
        return Published(None, None)
    if using is not None:
        raise TypeError("using= names the database of a transaction: it goes with on_commit=True")
    return _publish_now(publication)


async def apublish_encoded(publication: Publication) -> Published:
    """Publish what is encoded and checked; otherwise as `apublish`."""
    receivers = _deliver(publication)
    await hand_over_async(publication)
    return Published(receivers, True)


def hand_over(publication: Publication) -> bool | None:
    """Give a publication to the broker: soon where a loop runs in this thread, else at once. True if it has it."""
    is_on_loop = asyncio._get_running_loop() is not None
    for broker in _brokers():
        if is_on_loop:
            broker.publish_soon(publication)
        else:
            broker.publish(publication)
    return None if is_on_loop else True


async def hand_over_async(publication: Publication) -> None:
    """Give a publication to the broker, and wait until it has it."""
    for broker in _brokers():
        await broker.apublish(publication)


def make_publication(topic: str, message: Any, exclude: _Connection | None = None) -> Publication:
    """Encode a message for a topic.

    Raises:
        TypeError: The message has no JSON form, or `exclude` is no connection.
        PublicationTooLarge: It exceeds ``MAX_PUBLICATION_SIZE``.
    """
    data, is_text = encode_message(message)
    publication = Publication(topic, data, is_text, process_id(), exclude=_number_of(exclude))
    check_size(publication, bolt_settings().max_publication_size)
    return publication


def _number_of(exclude: _Connection | None) -> int | None:
    if exclude is None:
        return None
    # A user, say, has an id that may be the number of somebody's connection.
    if not hasattr(exclude, "ready_state"):
        raise TypeError(
            f"exclude must be a connection, such as the handler's websocket, not {type(exclude).__name__}"
        )
    return exclude.id


def _publish_now(publication: Publication) -> Published:
    receivers = _deliver(publication)
    return Published(receivers, hand_over(publication))


def _deliver(publication: Publication) -> int:
    receivers = 0
    for hub in running_hubs():
        receivers += hub.deliver(publication)
    return receivers


def _brokers() -> Iterable[Broker]:
    """Return the broker of the server that runs in this process, else one for publishing only."""
    return [hub.broker for hub in running_hubs()] or [process_broker()]
