"""Topics: what is published reaches every subscriber, in this process and in others."""

from django_bolt.topics.brokers import BrokerStatus
from django_bolt.topics.publishing import Published, apublish, publish
from django_bolt.topics.status import broker_status
from django_bolt.topics.subscriptions import Subscription
from django_bolt.topics.users import adisconnect_user, apublish_to_user, disconnect_user, publish_to_user

__all__ = [
    "BrokerStatus",
    "Published",
    "Subscription",
    "adisconnect_user",
    "apublish",
    "apublish_to_user",
    "broker_status",
    "disconnect_user",
    "publish",
    "publish_to_user",
]
