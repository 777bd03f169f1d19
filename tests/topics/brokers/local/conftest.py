from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_bolt.topics.brokers.local.directory import RuntimeDirectory


@pytest.fixture(scope="class")
def socket_directory() -> Iterator[Path]:
    """A directory with a short path, as a Unix socket needs; pytest's own are too long on some machines."""
    with tempfile.TemporaryDirectory(prefix="bolt-") as path:
        yield Path(path)


@pytest.fixture
def runtime() -> Iterator[RuntimeDirectory]:
    """The directory of a project, made."""
    with tempfile.TemporaryDirectory(prefix="bolt-") as path:
        directory = RuntimeDirectory("project", Path(path))
        directory.make()
        yield directory
