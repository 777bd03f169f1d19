"""Events of the library that every serving process must learn of, such as that a user has logged out.

An event has a kind and plain data. It is handled in the process that announces it, by each of its hubs, and the broker
carries it to the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from django_bolt.topics.hub import CONTROL_TOPIC, Hub, running_hubs
from django_bolt.topics.process import process_id
from django_bolt.topics.publication import Publication
from django_bolt.topics.publishing import hand_over, hand_over_async

__all__ = ["announce", "announce_async", "handles", "receive", "tell_others"]

logger = logging.getLogger("django_bolt.topics")

Handler = Callable[[Hub, dict[str, Any]], int]

_handlers: dict[str, Handler] = {}


class _Event(msgspec.Struct, frozen=True):
    kind: str
    data: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Event)


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Make a function the handler of a kind of event.

    It is called with the hub and the event's data, in the thread that announces the event or on the loop that
    gets it from another process, and returns how many connections it concerned.
    """

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        return handler

    return register


def announce(kind: str, **data: Any) -> int:
    """Handle an event in this process, and hand it to the others.

    Args:
        kind: As given to `handles`.
        data: What MessagePack knows.

    Returns:
        How many connections of this process it concerned.

    Raises:
        BrokerUnavailable: The other processes will not learn of it.
    """
    event = _Event(kind, data)
    count = _handle_here(event)
    hand_over(_publication(event))
    return count


def tell_others(kind: str, **data: Any) -> None:
    """Hand an event to the other processes, having handled it in this one; otherwise as `announce`."""
    hand_over(_publication(_Event(kind, data)))


async def announce_async(kind: str, **data: Any) -> int:
    """Do as `announce` does, without keeping the event loop waiting."""
    event = _Event(kind, data)
    count = _handle_here(event)
    await hand_over_async(_publication(event))
    return count


def receive(hub: Hub, publication: Publication) -> None:
    """Handle an event that came from another process."""
    try:
        event = _decoder.decode(publication.data)
    except msgspec.MsgspecError:
        logger.warning("An event from process %s cannot be read", publication.origin)
        return
    handler = _handlers.get(event.kind)
    if handler is not None:  # a newer version of the project may know more kinds
        handler(hub, event.data)


def _handle_here(event: _Event) -> int:
    handler = _handlers[event.kind]
    return sum(handler(hub, event.data) for hub in running_hubs())


def _publication(event: _Event) -> Publication:
    return Publication(CONTROL_TOPIC, _encoder.encode(event), is_text=False, origin=process_id())
