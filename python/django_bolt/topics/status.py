"""How the broker of this process does."""

from __future__ import annotations

from django_bolt.topics.brokers import BrokerStatus
from django_bolt.topics.hub import running_hubs
from django_bolt.topics.process_broker import process_broker

__all__ = ["broker_status"]


def broker_status() -> BrokerStatus:
    """Return the state and the counters of this process's broker, for metrics and health checks. For any thread.

    It is that of the server that runs in this process, else the one that `publish` uses here. Every process has its
    own: a view that `runbolt` serves tells those of the worker that serves it.
    """
    hubs = running_hubs()
    return (hubs[0].broker if hubs else process_broker()).status()
