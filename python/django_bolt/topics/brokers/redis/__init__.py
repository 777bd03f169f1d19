"""``redis://``: processes on many machines, through a Redis or Valkey server, Sentinel or Cluster."""

from django_bolt.topics.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
