"""``local://``: the processes of one project on one machine, by Unix sockets in a private directory."""

from django_bolt.topics.brokers.local.broker import LocalBroker

__all__ = ["LocalBroker"]
