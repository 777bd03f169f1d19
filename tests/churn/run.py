"""Churn: thousands of clients that come, misbehave and go, after which the server is as it was.

Run ``python -m tests.churn.run --seconds 180``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import resource
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import uvloop

from tests.attacks.serving import MIB, Server
from tests.attacks.wire import TEXT, frame
from tests.churn.visitors import BEHAVED, MISBEHAVED, PATIENCE, Visit, Visitor

BOLT: dict[str, Any] = {
    "HANDSHAKE_TIMEOUT": 3,
    "PING_INTERVAL": 3,
    "PING_TIMEOUT": 6,
    "CLOSE_TIMEOUT": 1,
    "DISCONNECT_GRACE": 1,
}
"""Short times, so that what waits for one is gone soon after the last visitor."""

GONE = 25.0
"""Seconds within which the server must be rid of the last visitors: several times the longest wait above."""
WARM_UP = 15.0
"""Seconds of churn before that which is measured: threads, pools and caches shall have their size."""
TOLERANCE = 16 * MIB
"""Growth that is no leak: what allocators keep for the sake of an object here and there, which comes to an end. Half a
kilobyte lost with each visit would be more than that within a minute."""

_PROBLEM = re.compile(r"^(?:ERROR|CRITICAL|Traceback).*", re.MULTILINE)


class Footprint(NamedTuple):
    """What a server has in its hands when nobody is there."""

    descriptors: int
    tasks: int
    connections: int
    subscribers: int
    memory: int

    @classmethod
    def of(cls, server: Server) -> Footprint:
        """Measure; the asking connection is counted, too."""
        with server.open("/probe") as peer:
            peer.send(frame(TEXT, b"?"))
            found = peer.receive_json()
            return cls(memory=server.memory(), descriptors=server.descriptors(), **found)

    def has_visitors(self) -> bool:
        """Whether anything is left of a visitor."""
        return (self.tasks, self.connections, self.subscribers) != (2, 1, 0)


@dataclass
class Tally:
    """What the visitors have met.

    Attributes:
        visits: Number of visits by what was done.
        failures: What went wrong for those that behaved.
        most: Most visitors at a time.
    """

    visits: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    most: int = 0


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        seconds: How long the churn took.
        before: Footprint after a first round of visitors.
        after: Footprint after the churn.
        problems: Errors that the server has logged.
    """

    seconds: float
    tally: Tally
    before: Footprint
    after: Footprint
    problems: list[str]

    def lines(self) -> list[str]:
        """Return the figures, one a line."""
        total = self.tally.visits.total()
        growth = (self.after.memory - self.before.memory) / MIB
        return [
            f"{total} visits in {self.seconds:.0f} s, at most {self.tally.most} at a time",
            *(f"  {name:24}{count:8}" for name, count in sorted(self.tally.visits.items())),
            f"before: {self.before}",
            f"after:  {self.after}",
            f"the server has grown by {growth:.1f} MiB",
            f"visitors that behaved and were not served: {len(self.tally.failures)}",
            *(f"  {failure}" for failure in self.tally.failures[:10]),
            *(f"  logged: {problem}" for problem in self.problems[:10]),
        ]

    def check(self) -> None:
        """Check that the server is as it was, and has kept every promise."""
        assert not self.tally.failures, self.tally.failures[:10]
        assert not self.problems, self.problems[:10]
        assert self.after[:-1] == self.before[:-1], (self.before, self.after)
        assert self.after.memory - self.before.memory < TOLERANCE, (self.before, self.after)


class Crowd:
    """Visitors, so many at a time.

    Args:
        address: Host and port of the server.
        size: Number of visitors at a time.
    """

    def __init__(self, address: tuple[str, int], size: int) -> None:
        self.tally = Tally()
        self._address = address
        self._size = size

    async def visit(self, seconds: float) -> None:
        """Let visitors come for so long, and wait until the last has left."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(self._size):
                group.create_task(self._come_again(until, number))

    async def _come_again(self, until: float, number: int) -> None:
        # As many of each kind at any time; they do not come all at once.
        visits = BEHAVED if number % 2 else MISBEHAVED
        await asyncio.sleep(random.random())
        while time.monotonic() < until:
            await self._come(random.choice(visits))

    async def _come(self, visit: Visit) -> None:
        self.tally.visits[visit.__name__] += 1
        visitor = Visitor(self._address)
        try:
            async with asyncio.timeout(PATIENCE):
                await visit(visitor)
        except (AssertionError, OSError, TimeoutError) as error:
            if visit in BEHAVED:
                self.tally.failures.append(f"{visit.__name__}: {error!r:.200}")
        finally:
            visitor.leave()

    async def watch(self, server: Server) -> None:
        """Note how many are there, for ever."""
        before = server.descriptors()
        while True:
            await asyncio.sleep(0.2)
            self.tally.most = max(self.tally.most, server.descriptors() - before)


def churn(server: Server, seconds: float, size: int) -> Report:
    """Let visitors come for some seconds.

    Args:
        server: A server with the settings `BOLT`.
        seconds: How long; before it they come for `WARM_UP`, after which the footprint is taken.
        size: Number of visitors at a time.
    """
    host, _, port = server.host.rpartition(":")
    crowd = Crowd((host, int(port)), size)
    uvloop.run(crowd.visit(WARM_UP))
    before = _footprint_without_visitors(server)
    start = time.monotonic()
    uvloop.run(_visit_and_watch(crowd, server, seconds))
    spent = time.monotonic() - start
    after = _footprint_without_visitors(server)
    return Report(spent, crowd.tally, before, after, _PROBLEM.findall(server.output()))


async def _visit_and_watch(crowd: Crowd, server: Server, seconds: float) -> None:
    watching = asyncio.create_task(crowd.watch(server))
    await crowd.visit(seconds)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def _footprint_without_visitors(server: Server) -> Footprint:
    """Return the footprint once nothing is left of visitors, or as it is when the time for that is over."""
    until = time.monotonic() + GONE
    before, found = None, Footprint.of(server)
    # Kept-alive HTTP connections are seen by their descriptors only: wait until those are the same twice.
    while (found.has_visitors() or before != found.descriptors) and time.monotonic() < until:
        time.sleep(1)
        before, found = found.descriptors, Footprint.of(server)
    return found


def allow_descriptors(count: int) -> None:
    """Raise the limit for open descriptors, as far as the system lets us; the server inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def main() -> int:
    """Print the figures; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument(
        "--visitors", type=int, default=3600, help="of whom more than half are connected at any time"
    )
    options = parser.parse_args()
    allow_descriptors(2 * options.visitors + 1000)
    with TemporaryDirectory() as folder, Server(Path(folder) / "log", "127.0.0.1:0", bolt=BOLT) as server:
        report = churn(server, options.seconds, options.visitors)
        print("\n".join(report.lines()))
    try:
        report.check()
    except AssertionError as error:
        print(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
