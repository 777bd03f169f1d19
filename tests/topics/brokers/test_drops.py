from __future__ import annotations

import logging
import threading

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


def test_the_last_of_a_burst_are_told_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOG_INTERVAL", 0.05)
    drops = Drops()
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        for _ in range(5):
            drops.add(DropReason.QUEUE_FULL, "here")
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        for timer in timers:
            timer.join(5)
    assert caplog.messages == [
        "Dropped publications (queue_full): 1, in all 1; here",
        "Dropped publications (queue_full): 4, in all 5; here",
    ]


def test_at_the_end_nothing_waits_for_a_timer(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        for _ in range(3):
            drops.add(DropReason.INVALID, "there")
        drops.log_rest()
        drops.log_rest()
    assert caplog.messages == [
        "Dropped publications (invalid): 1, in all 1; there",
        "Dropped publications (invalid): 2, in all 3; there",
    ]


def test_a_child_counts_anew() -> None:
    drops = Drops()
    drops.add(DropReason.INVALID, "there")
    drops.renew()
    assert drops.counts() == {}
