"""Topics that an endpoint subscribes its connections to by itself: ``subscribe=`` of `BoltAPI.websocket`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from django_bolt.exceptions import InvalidHandler, InvalidTopic
from django_bolt.topics.names import check_subscription, is_pattern

__all__ = ["StandingTopics", "plan_topics"]


@dataclass(frozen=True, slots=True)
class StandingTopics:
    """Names of topics in which path parameters stand in braces.

    Attributes:
        topics: Names of topics, such as ``room:{room_id}``.
        patterns: Names that end with ``*``.
    """

    topics: tuple[str, ...]
    patterns: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.topics or self.patterns)

    def fill(self, path_params: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Return topics and patterns for one connection. What a client puts into a path makes no pattern of a topic."""
        topics = [name.format_map(path_params) for name in self.topics]
        return topics, [name.format_map(path_params) for name in self.patterns]


def plan_topics(names: str | Sequence[str], path_names: tuple[str, ...], location: str) -> StandingTopics:
    """Check names of topics when an endpoint is registered.

    Args:
        names: Names of topics and patterns, with path parameters in braces; one may stand by itself.
        path_names: Names of the parameters in the path.
        location: Where the endpoint is.

    Raises:
        InvalidHandler: A name breaks a rule, or asks for what the path does not have; the text names the line.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        _check(name, path_names, location)
    patterns = tuple(name for name in listed if is_pattern(name))
    return StandingTopics(tuple(name for name in listed if not is_pattern(name)), patterns)


def _check(name: str, path_names: tuple[str, ...], location: str) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(name) if field is not None]
        unknown = [field for field in fields if field not in path_names]
        if unknown:
            has = ", ".join(path_names) or "none"
            raise InvalidTopic(name, f"{{{unknown[0]}}} is no parameter of the path, which has: {has}")
        check_subscription(name.format_map(dict.fromkeys(path_names, "x")))
    except (InvalidTopic, ValueError, TypeError) as error:
        raise InvalidHandler(f"{location}: subscribe={name!r}: {error}") from None
