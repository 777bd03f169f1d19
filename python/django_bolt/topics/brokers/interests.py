"""What a process has subscribed to."""

from __future__ import annotations

from collections.abc import Iterator

from django_bolt.topics.names import is_pattern, matches

__all__ = ["Interests"]


class Interests:
    """A set of topics and patterns that tells whether a topic is among them."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.patterns: set[str] = set()

    def __len__(self) -> int:
        return len(self.topics) + len(self.patterns)

    def __iter__(self) -> Iterator[str]:
        return iter((*self.topics, *self.patterns))

    def __contains__(self, topic: str) -> bool:
        return topic in self.topics or any(matches(pattern, topic) for pattern in self.patterns)

    def add(self, name: str) -> None:
        """Add a topic or a pattern."""
        self._kind(name).add(name)

    def discard(self, name: str) -> None:
        """Remove a topic or a pattern, if it is there."""
        self._kind(name).discard(name)

    def clear(self) -> None:
        """Remove all."""
        self.topics.clear()
        self.patterns.clear()

    def _kind(self, name: str) -> set[str]:
        return self.patterns if is_pattern(name) else self.topics
