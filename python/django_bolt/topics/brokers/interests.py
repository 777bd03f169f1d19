"""What a process has subscribed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django_bolt.topics.names import WILDCARD, is_pattern, matches

__all__ = ["Interests"]


class Interests:
    """A set of topics and patterns that tells whether a topic is among them.

    That takes as long as there are patterns of different lengths, however many patterns there are.
    """

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self._patterns: set[str] = set()
        self._lengths: Counter[int] = Counter()  # of what precedes the wildcard

    def __len__(self) -> int:
        return len(self.topics) + len(self._patterns)

    def __iter__(self) -> Iterator[str]:
        return iter((*self.topics, *self._patterns))

    def __contains__(self, topic: str) -> bool:
        return topic in self.topics or any(True for _ in self.matching(topic))

    def matching(self, topic: str) -> Iterator[str]:
        """Return the patterns that stand for a topic, among others."""
        for length in self._lengths:
            pattern = topic[:length] + WILDCARD
            if length <= len(topic) and pattern in self._patterns and matches(pattern, topic):
                yield pattern

    def add(self, name: str) -> None:
        """Add a topic or a pattern."""
        if not is_pattern(name):
            self.topics.add(name)
        elif name not in self._patterns:
            self._patterns.add(name)
            self._lengths[len(name) - 1] += 1

    def discard(self, name: str) -> None:
        """Remove a topic or a pattern, if it is there."""
        if not is_pattern(name):
            self.topics.discard(name)
        elif name in self._patterns:
            self._patterns.remove(name)
            self._lengths -= Counter([len(name) - 1])  # keeps no length that is nobody's

    def clear(self) -> None:
        """Remove all."""
        self.topics.clear()
        self._patterns.clear()
        self._lengths.clear()
