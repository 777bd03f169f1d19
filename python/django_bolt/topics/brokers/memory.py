"""``memory://``: one process alone. Nobody else is there to get anything."""

from __future__ import annotations

from django_bolt.exceptions import WrongState
from django_bolt.topics.brokers.base import Broker, BrokerStatus, Deliver
from django_bolt.topics.publication import Publication

__all__ = ["MemoryBroker"]


class MemoryBroker(Broker):
    """Publications stay in the process, whose subscribers have got them already."""

    async def start(self, deliver: Deliver) -> None:
        if self.deliver is not None:
            raise WrongState("start", "stopped", "started")
        self.deliver = deliver

    async def stop(self) -> None:
        self.deliver = None
        self.interests.clear()

    def subscribe(self, name: str) -> None:
        self.interests.add(name)

    def unsubscribe(self, name: str) -> None:
        self.interests.discard(name)

    def publish_soon(self, publication: Publication) -> None:
        self.check_size(publication)

    def publish(self, publication: Publication) -> None:
        self.check_size(publication)

    async def apublish(self, publication: Publication) -> None:
        self.check_size(publication)

    def status(self) -> BrokerStatus:
        return BrokerStatus(subscriptions=len(self.interests), drops=self.drops.counts())
