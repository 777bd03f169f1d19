from __future__ import annotations

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
