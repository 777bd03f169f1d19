"""Names of topics, and patterns that stand for many.

A topic is named by 1 to 200 characters of Unicode, compared as they are: no normalisation, no case folding.
Control characters, line separators and lone surrogates are refused; ``*`` is kept for patterns, and names that
begin with ``$`` are the library's own.

A pattern is a name that ends in ``*``, its only one, and matches every topic that begins with what stands
before it: ``orders.*`` matches ``orders.1`` and ``orders.1.items``. As in MQTT, a pattern does not match the
library's own topics, unless it begins with ``$`` itself.
"""

from __future__ import annotations

import unicodedata

from django_bolt.exceptions import InvalidTopic

__all__ = ["MAX_TOPIC_LENGTH", "WILDCARD", "check_subscription", "check_topic", "is_pattern", "matches"]

MAX_TOPIC_LENGTH = 200
"""Most characters of a name; in UTF-8 it has at most four times as many bytes."""

WILDCARD = "*"
RESERVED = "$"

_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode. Format characters stay allowed: a joiner is part of many an emoji."""


def check_topic(name: str, *, reserved: bool = False) -> str:
    """Return the name as a plain `str`; it must be that of one topic.

    Args:
        name: The name.
        reserved: Whether it may begin with ``$``.

    Raises:
        InvalidTopic: It breaks a rule; the text says which.
    """
    _check_characters(name, reserved)
    if WILDCARD in name:
        raise InvalidTopic(name, "* stands for many topics and is only for subscribing")
    return _plain(name)


def check_subscription(name: str, *, reserved: bool = False) -> str:
    """Return the name as a plain `str`; it must be that of a topic or a pattern.

    Args:
        name: The name.
        reserved: Whether it may begin with ``$``.

    Raises:
        InvalidTopic: It breaks a rule; the text says which.
    """
    _check_characters(name, reserved)
    if WILDCARD in name[:-1]:
        raise InvalidTopic(name, "* may only be the last character")
    return _plain(name)


def is_pattern(name: str) -> bool:
    """Whether a valid name stands for many topics."""
    return name.endswith(WILDCARD)


def matches(pattern: str, topic: str) -> bool:
    """Whether a pattern stands for a topic, among others."""
    prefix = pattern[:-1]
    return topic.startswith(prefix) and (bool(prefix) or not topic.startswith(RESERVED))


def _plain(name: str) -> str:
    """Return a name without its class: those of Django's safe texts and of enumerations are not for brokers."""
    return str.__str__(name)


def _check_characters(name: str, reserved: bool) -> None:
    if not isinstance(name, str):
        raise InvalidTopic(name, f"it must be a str, not {type(name).__name__}")
    if not 1 <= len(name) <= MAX_TOPIC_LENGTH:
        raise InvalidTopic(name, f"it must have 1 to {MAX_TOPIC_LENGTH} characters, not {len(name):,}")
    if not reserved and name.startswith(RESERVED):
        raise InvalidTopic(name, f"names that begin with {RESERVED} are reserved")
    if not name.isprintable():  # True is quick, and nearly always the answer
        _check_each(name)


def _check_each(name: str) -> None:
    for character in name:
        if unicodedata.category(character) in _REFUSED:
            raise InvalidTopic(name, f"it contains the control character {character!a}")
