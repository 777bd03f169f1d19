"""The table of scenarios."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, replace

SECRET = b"only-for-benchmarks-on-the-loopback-interface"
LONG = 60
"""From so many seconds on, a measurement is made once."""
SIZES = {"": 32, "-1k": 1024, "-64k": 65_536}


@dataclass(frozen=True)
class Scenario:
    """What the generator does, and which number of its report counts."""

    name: str
    title: str
    command: str
    path: str
    metric: str
    needs: str
    options: tuple[str, ...] = ()
    workers: int = 1
    more_is_better: bool = True
    seconds: float | None = None
    """Length of a measurement where it is not for the one who runs it to say."""
    factor: float = 1.0
    """What to multiply the metric with, for its unit."""
    unit: str = ""
    once: bool = False
    """Whether the first round is enough, because it takes minutes."""

    def requirements(self) -> set[str]:
        """Return what a server must be able to do."""
        return {*self.needs.split(), *(["workers"] if self.workers > 1 else [])}


def token() -> str:
    """Return a JSON Web Token of user 42, signed with HS256, that expires in the year 2100."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"user_id": 42, "sub": "42", "exp": 4_102_444_800}]
    signed = b".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return (signed + b"." + encoded(hmac.digest(SECRET, signed, hashlib.sha256))).decode()


def encoded(data: bytes) -> bytes:
    """Return data in the alphabet of tokens."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


PREFIX = ("--prefix", "Echo: ")
METRIC, UNIT = "messages_per_second", "messages/s"
CONTENTS = {"text": ("echo", "/ws/echo", PREFIX), "binary": ("binary", "/ws/binary", ())}
CONTENTS["json"] = ("json", "/ws/json", ())


def echo(name: str, title: str, options: str, content: str = "text", workers: int = 1) -> Scenario:
    """Return an echo scenario."""
    needs, path, prefix = CONTENTS[content]
    given = (*options.split(), "--content", content, *prefix)
    return Scenario(name, title, "echo", path, METRIC, needs, given, workers, unit=UNIT)


def grid() -> list[Scenario]:
    """Return echo of each kind of message, with one and many in flight, in each size."""
    scenarios = []
    for content in CONTENTS:
        for in_flight in (1, 16):
            for suffix, size in SIZES.items():
                name = f"{'echo' if content == 'text' else content}-{in_flight}{suffix}"
                title = f"echo of {content}, {size:,} B, 64 connections, {in_flight} in flight"
                options = f"--connections 64 --size {size} --in-flight {in_flight}"
                scenarios.append(echo(name, title, options, content))
    return scenarios


def fanout(name: str, title: str, connections: int, path: str, workers: int = 1) -> Scenario:
    """Return a fan-out scenario."""
    return Scenario(
        name,
        title,
        "fanout",
        path,
        "deliveries_per_second",
        "topic" if path == "/ws/topic" else "broadcast",
        ("--connections", str(connections), "--size", "32"),
        workers,
        unit="deliveries/s",
    )


def growth() -> list[Scenario]:
    """Return echo and fan-out with more and more connections."""
    counts = (100, 1_000, 10_000)
    scenarios = [
        echo(f"echo-1-of-{count}", f"echo, 32 B, {count:,} connections", f"--connections {count} --size 32")
        for count in counts
    ]
    scenarios += [
        fanout(f"fanout-{count}", f"fan-out to {count:,} by loop", count, "/ws/broadcast") for count in counts
    ]
    return [replace(scenario, once=scenario.name.endswith(str(counts[-1]))) for scenario in scenarios]


def idle(name: str, title: str, seconds: float, metric: str, factor: float, unit: str) -> Scenario:
    """Return a scenario with 10,000 idle connections."""
    return Scenario(
        name,
        title,
        "idle",
        "/ws/echo",
        metric,
        "echo",
        ("--connections", "10000"),
        more_is_better=False,
        seconds=seconds,
        factor=factor,
        unit=unit,
        once=seconds >= LONG,
    )


def connect(name: str, title: str, path: str, needs: str, *options: str) -> Scenario:
    """Return a scenario of new connections."""
    given = ("--concurrency", "32", *PREFIX, *options)
    return Scenario(
        name, title, "connect", path, "connections_per_second", needs, given, unit="connections/s"
    )


SCENARIOS = [
    *grid(),
    fanout("fanout-500", "one message to 500, the specification's loop", 500, "/ws/broadcast"),
    fanout("fanout-topic-500", "one message to 500, by topic", 500, "/ws/topic"),
    fanout("fanout-topic-500-two", "one message to 500, by topic, two processes", 500, "/ws/topic", 2),
    idle("idle-10000", "10,000 idle connections: memory", 5, "rss_per_connection", 1 / 1024, "KiB each"),
    idle(
        "idle-10000-heartbeats",
        "10,000 idle connections: CPU in a minute with heartbeats",
        60,
        "server_cpu_seconds",
        1,
        "s",
    ),
    connect("connect", "new connections", "/ws/echo", "echo"),
    connect(
        "connect-jwt",
        "new connections with a JSON Web Token",
        "/ws/protected",
        "jwt",
        "--header",
        f"Authorization: Bearer {token()}",
    ),
    Scenario(
        "rate-20000",
        "latency at 20,000 messages a second, 64 connections, 32 B: 99th percentile",
        "rate",
        "/ws/echo",
        "p99_us",
        "echo",
        ("--connections", "64", "--size", "32", "--rate", "20000", *PREFIX),
        more_is_better=False,
        unit="us",
    ),
    Scenario(
        "compressed-1k",
        "echo of compressed text, 1,024 B, 64 connections, 16 in flight",
        "echo",
        "/ws/echo",
        METRIC,
        "echo deflate",
        (
            *("--connections", "64", "--size", "1024", "--in-flight", "16"),
            *("--content", "json", "--compress", *PREFIX),
        ),
        unit=UNIT,
    ),
    Scenario(
        "page",
        "a page of the Django site over HTTP, 32 connections",
        "http",
        "/page",
        "requests_per_second",
        "page",
        ("--connections", "32"),
        unit="requests/s",
    ),
    echo(
        "echo-16-two",
        "echo, 32 B, 64 connections, 16 in flight, two processes",
        "--connections 64 --size 32 --in-flight 16",
        workers=2,
    ),
    *growth(),
]
MAIN = ["echo-1", "echo-16", "fanout-500", "fanout-topic-500", "connect"]
