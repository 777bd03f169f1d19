"""What a broker is: the contract that each of them keeps and that `docs/topics/brokers.md` tells in full."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from django_bolt.conf import BoltSettings
from django_bolt.topics.brokers.drops import Drops
from django_bolt.topics.brokers.interests import Interests
from django_bolt.topics.process import call_after_fork, process_id
from django_bolt.topics.publication import Publication, check_size

__all__ = ["Broker", "BrokerStatus", "Deliver"]

logger = logging.getLogger("django_bolt.topics")

Deliver: TypeAlias = Callable[[Publication], None]


class BrokerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a broker in this process, for metrics and health checks.

    Attributes:
        available: Whether the last exchange with the outside succeeded.
        outages: Times that it was away, an outage that goes on included.
        seconds_away: How long, in all.
        queued: Bytes that wait to be taken over.
        subscriptions: Topics and patterns subscribed.
        drops: Publications dropped, by reason; see `DropReason`.
    """

    available: bool = True
    outages: int = 0
    seconds_away: float = 0.0
    queued: int = 0
    subscriptions: int = 0
    drops: dict[str, int] = {}


class Broker(ABC):
    """Carries publications between processes.

    One object serves one process. A process that only publishes needs neither `start` nor an event loop. A
    serving process starts it on its event loop; `subscribe` and `unsubscribe` belong on that loop. Publishing
    is for any thread. After a fork, the child's object is as a new one that was not started.

    Order: publications of one topic by one thread (or by one event loop, if each `apublish` is awaited) arrive
    in the order of the calls. Delivery: at most once. What is dropped is counted in `drops` and logged.

    Args:
        url: The setting ``BROKER``. It may hold credentials: never log it, but `redacted(url)`.
        settings: All settings.

    Attributes:
        drops: Counts what was dropped.
        interests: What is subscribed to.
        deliver: What `start` was given; None while stopped.
    """

    def __init__(self, url: str, settings: BoltSettings) -> None:
        self.url = url
        self.settings = settings
        self.drops = Drops()
        self.interests = Interests()
        self.deliver: Deliver | None = None
        call_after_fork(self.renew)

    @abstractmethod
    async def start(self, deliver: Deliver) -> None:
        """Begin to receive, on the running loop.

        An outage does not fail it: a broker that cannot reach its server goes on trying.

        Args:
            deliver: Called on this loop, once for each publication of *another* process on a subscribed topic.
                Exceptions are logged.

        Raises:
            BrokerUnavailable: The broker cannot work at all, as without a directory for its sockets.
            WrongState: It has been started.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Hand over what is queued, for at most ``BROKER_TIMEOUT``, and let go of everything. Idempotent."""

    @abstractmethod
    def subscribe(self, name: str) -> None:
        """Receive what is published on a topic, or on those of a pattern. Returns at once; on the loop.

        The caller counts: this is called when the first local subscriber comes. A second call changes nothing.

        Raises:
            InvalidTopic: The name is a pattern, and this broker cannot have patterns.
        """

    @abstractmethod
    def unsubscribe(self, name: str) -> None:
        """Undo `subscribe` when the last local subscriber has left. Returns at once; on the loop."""

    async def synced(self, *names: str) -> None:
        """Return when subscriptions are in force; on the loop.

        A publication whose publishing began afterwards is received. May be cancelled.

        Args:
            names: Which ones; none for all so far.

        Raises:
            BrokerUnavailable: They are not in force after ``BROKER_TIMEOUT``. They will be when it is over.
        """
        await asyncio.sleep(0)

    @abstractmethod
    def publish_soon(self, publication: Publication) -> None:
        """Queue a publication for other processes; any thread, never waits.

        What turns out later not to be taken is dropped, counted and logged; so is what one of several receiving
        processes has no room for.

        Raises:
            BrokerUnavailable: An outage is known, or the queue is full.
            PublicationTooLarge: Its data exceed ``MAX_PUBLICATION_SIZE``.
        """

    @abstractmethod
    def publish(self, publication: Publication) -> None:
        """Hand a publication over for other processes; any thread without a running loop.

        Waits until it was taken, at most for ``BROKER_TIMEOUT``.

        Raises:
            BrokerUnavailable: It was not taken.
            PublicationTooLarge: Its data exceed ``MAX_PUBLICATION_SIZE``.
        """

    async def apublish(self, publication: Publication) -> None:
        """Hand a publication over as `publish` does; on any running loop, which does not wait.

        Cancelled, it may have been published or not.
        """
        await asyncio.to_thread(self.publish, publication)

    def check(self) -> None:  # noqa: B027, by default nothing can be wrong
        """Try whether publishing would succeed, within ``BROKER_TIMEOUT``; for system checks.

        Raises:
            BrokerUnavailable: It would not; the text names the address, without credentials.
        """

    def status(self) -> BrokerStatus:
        """Return the state and the counters."""
        return BrokerStatus(drops=self.drops.counts())

    def renew(self) -> None:
        """Become as one that was not started: called in the child after a fork.

        Descriptors are to be closed, and nothing sent by them: they are the parent's.
        """
        self.deliver = None
        self.interests = Interests()
        self.drops.renew()

    def check_size(self, publication: Publication) -> None:
        """Check the size of what is to be published.

        Raises:
            PublicationTooLarge: It exceeds ``MAX_PUBLICATION_SIZE``.
        """
        check_size(publication, self.settings.max_publication_size)

    def hand_out(self, publication: Publication) -> None:
        """Deliver what came, if it is of another process and subscribed; on the loop.

        What the delivery raises is logged: it must not end the receiving.
        """
        if (
            self.deliver is None
            or publication.origin == process_id()
            or publication.topic not in self.interests
        ):
            return
        try:
            self.deliver(publication)
        except Exception:
            logger.exception("Delivering a publication on %r failed", publication.topic)
