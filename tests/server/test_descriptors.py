"""The limit of descriptors; each case in a process of its own, which may lower it for good."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

RAISE = """
import resource, sys
from django_bolt.server.descriptors import make_room

soft, hard, max_connections, each = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(make_room(max_connections, each))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""

pytestmark = pytest.mark.skipif(
    0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096, reason="needs a hard limit of 4096"
)


def make_room(soft: int, hard: int, max_connections: int, each: int = 1) -> tuple[str, int, int]:
    """Return the warning and the limits after it."""
    numbers = map(str, (soft, hard, max_connections, each))
    done = subprocess.run(
        [sys.executable, "-c", RAISE, *numbers], capture_output=True, text=True, timeout=30, check=True
    )
    warning, limits = done.stdout.splitlines()
    after = limits.split()
    return warning, int(after[0]), int(after[1])


@pytest.mark.parametrize(
    ("soft", "hard", "max_connections", "each", "expected"),
    [
        (256, 4096, 1000, 1, 3256),  # WebSockets, pages and silent clients
        (256, 4096, 1000, 3, 4096),  # over TLS
        (256, 2000, 1000, 1, 2000),
        (4000, 4096, 1000, 1, 4000),  # more than needed stays
    ],
)
def test_the_limit_is_raised_as_far_as_it_is_needed_and_can_be(
    soft: int, hard: int, max_connections: int, each: int, expected: int
) -> None:
    assert make_room(soft, hard, max_connections, each) == ("None", expected, hard)


@pytest.mark.parametrize(("each", "least"), [(1, 1256), (3, 3256)])
def test_where_websockets_have_no_room_a_warning_says_what_they_need(each: int, least: int) -> None:
    warning, soft, _ = make_room(256, 1000, 1000, each)
    assert soft == 1000
    assert "may open 1000 descriptors" in warning
    assert f"1000 connections (MAX_CONNECTIONS) need {least}" in warning
    assert "LimitNOFILE" in warning
