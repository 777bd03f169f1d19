"""Signals that ask to stop before anybody minds them."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

__all__ = ["STOP_SIGNALS", "Handler", "handle_signals", "note_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


class _Note:
    """A signal handler that only notes that a signal came; a second one ends the process."""

    def __init__(self) -> None:
        self.has_come = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.has_come:
            sys.exit(0)
        self.has_come = True


def note_signals() -> None:
    """From now on take a signal as a wish to stop, which `handle_signals` will pass on.

    Ending at once would leave behind whatever happens to be half done, with warnings about it.
    """
    if threading.current_thread() is threading.main_thread():
        note = _Note()
        for number in STOP_SIGNALS:
            signal.signal(number, note)


@contextlib.contextmanager
def handle_signals(numbers: Sequence[signal.Signals], handler: Handler) -> Iterator[None]:
    """Have a handler called for signals while the block runs, and at its start for one that was noted before."""
    originals = {number: signal.signal(number, handler) for number in numbers}
    if any(isinstance(original, _Note) and original.has_come for original in originals.values()):
        handler(numbers[0], None)
    try:
        yield
    finally:
        for number, original in originals.items():
            signal.signal(number, original)
