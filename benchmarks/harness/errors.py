"""What can go wrong in a run."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A server or the generator did not do its part."""


class UnavailableError(BenchmarkError):
    """A server cannot be had on this machine; the text says why."""
