from __future__ import annotations

import logging

import pytest

from django_bolt.topics.brokers import drops as module
from django_bolt.topics.brokers.drops import DropReason, Drops


def test_drops_are_counted_by_reason() -> None:
    drops = Drops()
    drops.add(DropReason.QUEUE_FULL, "here")
    drops.add(DropReason.QUEUE_FULL, "here", 4)
    drops.add(DropReason.INVALID, "there")
    assert drops.counts() == {"queue_full": 5, "invalid": 1}


def test_a_line_a_second_for_each_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    drops = Drops()
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        for _ in range(5):
            drops.add(DropReason.QUEUE_FULL, "here")
        drops.add(DropReason.INVALID, "there")
        now[0] += 1.0
        drops.add(DropReason.QUEUE_FULL, "here")
    assert caplog.messages == [
        "Dropped publications (queue_full): 1, in all 1; here",
        "Dropped publications (invalid): 1, in all 1; there",
        "Dropped publications (queue_full): 5, in all 6; here",
    ]


def test_a_child_counts_anew() -> None:
    drops = Drops()
    drops.add(DropReason.INVALID, "there")
    drops.renew()
    assert drops.counts() == {}
