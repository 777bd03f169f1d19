"""Signals in the moment before the server minds them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from django_bolt.server.stopping import STOP_SIGNALS, handle_signals, note_signals
from tests.server.own_site import OwnSite

SLOW_APPLICATION = """
import time
print("loading", flush=True)
time.sleep(0.5)
from django.core.asgi import get_asgi_application
application = get_asgi_application()
print("loaded", flush=True)
"""
"""Makes the moment longer."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the handlers as they were."""
    originals = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, original in originals.items():
        signal.signal(number, original)


@pytest.fixture
def calls() -> list[int]:
    """The signals that were handled."""
    return []


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_that_came_before_is_passed_on(number: signal.Signals, calls: list[int]) -> None:
    note_signals()
    os.kill(os.getpid(), number)
    with handle_signals(STOP_SIGNALS, lambda *_: calls.append(1)):
        assert calls == [1]
        os.kill(os.getpid(), number)
        assert calls == [1, 1]


def test_without_one_nothing_is_passed_on(calls: list[int]) -> None:
    note_signals()
    with handle_signals(STOP_SIGNALS, lambda *_: calls.append(1)):
        assert calls == []


def test_the_handlers_are_put_back(calls: list[int]) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with handle_signals(STOP_SIGNALS, lambda *_: calls.append(1)):
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_second_one_does_not_wait(calls: list[int]) -> None:
    note_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        (signal.SIGTERM, ["--noreload"]),
        (signal.SIGINT, ["--noreload"]),
        (signal.SIGTERM, ["--noreload", "--workers", "2"]),
        (signal.SIGTERM, ["--reload"]),
    ],
)
def test_a_signal_while_the_application_is_loaded(
    own_site: OwnSite, number: signal.Signals, mode: list[str]
) -> None:
    """The process ends with success and has nothing to say about it."""
    own_site.write("own_site/asgi.py", SLOW_APPLICATION)
    settings = own_site.directory / "own_site" / "settings.py"
    settings.write_text(f"{settings.read_text()}\nASGI_APPLICATION = 'own_site.asgi.application'\n")
    running = own_site.start(*mode)
    running.until(lambda: "loading" in running.output(), "the application")
    began = len(running.output())
    assert running.stop(number) == 0
    assert set(running.output()[began:].split()) <= {"loading", "loaded"}


@pytest.mark.parametrize("mode", [["--noreload"], ["--noreload", "--workers", "2"], ["--reload"]])
def test_a_signal_at_any_moment_after_the_announcement(
    own_site: OwnSite, monkeypatch: pytest.MonkeyPatch, mode: list[str]
) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "always::ResourceWarning")  # nothing is left open, either
    for _ in range(3):
        running = own_site.start(*mode)
        began = running.output().index("Quit the server")
        assert running.stop() == 0
        assert running.output()[began:].splitlines()[1:] == []
