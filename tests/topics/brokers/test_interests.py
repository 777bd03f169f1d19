from __future__ import annotations

import pytest

from django_bolt.topics.brokers import interests as module
from django_bolt.topics.brokers.interests import Interests


def test_topics_and_patterns() -> None:
    interests = Interests()
    assert "room:1" not in interests
    interests.add("room:1")
    interests.add("orders.*")
    interests.add("orders.*")
    assert len(interests) == 2
    assert set(interests) == {"room:1", "orders.*"}
    assert "room:1" in interests
    assert "orders.1" in interests
    assert "room:2" not in interests
    interests.discard("orders.*")
    interests.discard("never there")
    assert "orders.1" not in interests
    interests.clear()
    assert len(interests) == 0


def test_patterns_are_found_by_their_lengths() -> None:
    interests = Interests()
    for name in ("*", "o*", "orders.*", "orders.1*", "other.*", "部*", "部屋.*"):
        interests.add(name)
    assert set(interests.matching("orders.12")) == {"*", "o*", "orders.*", "orders.1*"}
    assert set(interests.matching("部屋.1")) == {"*", "部*", "部屋.*"}
    assert list(interests.matching("$library")) == []
    for name in ("*", "o*", "orders.*"):
        interests.discard(name)
        interests.discard(name)
    assert "orders.2" not in interests
    assert "orders.1" in interests
    assert "other.1" in interests


def test_many_patterns_cost_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(module, "matches", lambda pattern, topic: asked.append(pattern))
    interests = Interests()
    for number in range(10_000):
        interests.add(f"user.{number:05}.*")
    assert "user.00042.seen" not in interests
    assert asked == ["user.00042.*"]
