from __future__ import annotations

import logging

import pytest

from django_bolt.topics.brokers import outage as module
from django_bolt.topics.brokers.outage import Backoff, Outage


def test_pauses_grow_up_to_a_limit_and_differ() -> None:
    backoff = Backoff()
    pauses = [backoff.pause() for _ in range(10)]
    expected = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, expected, strict=True))
    backoff.reset()
    assert backoff.pause() <= 0.05


def test_pauses_of_two_processes_differ() -> None:
    first, second = Backoff(), Backoff()
    assert [first.pause() for _ in range(5)] != [second.pause() for _ in range(5)]


def test_an_outage_lasts_from_the_first_loss_to_the_last_return(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    outage = Outage("redis://host")
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        outage.end("a")  # nothing was lost
        outage.begin("a", "refused")
        outage.begin("a", "refused again")
        now[0] += 1.5
        outage.begin("b", "refused")
        outage.end("a")
        assert outage.is_on
        assert outage.seconds == 1.5
        now[0] += 1.0
        outage.end("b")
        assert not outage.is_on
        now[0] += 9.0
    assert (outage.count, outage.seconds) == (1, 2.5)
    assert caplog.messages == [
        "The broker redis://host is away (a): refused",
        "The broker redis://host is back after 2.5 s",
    ]


def test_a_child_counts_anew() -> None:
    outage = Outage("redis://host")
    outage.begin("a", "refused")
    outage.renew()
    assert (outage.is_on, outage.count, outage.seconds) == (False, 0, 0.0)
