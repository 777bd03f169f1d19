"""What topics cost in one process: memory of a subscription, and the time to publish as topics grow in number.

No sockets' work is measured: connections are ends of socket pairs, and the publications timed go to one subscriber.
Numbers depend on the machine; what counts is that they stay flat from one row to the next.

    python benchmarks/hub.py --connections 10000 --subscriptions 10
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import socket
import statistics
import time
from pathlib import Path

from django_bolt import _core

TOPICS = [1, 10, 100, 1_000, 10_000, 100_000]
PUBLICATIONS = 2_000
REPEATS = 7
SPARE = 64
REQUEST = _core.ClientProtocol("/", "localhost").request()


class Peer(_core.Connection):
    """The server's side of a connection."""


def rss() -> int:
    """Return the resident set of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def open_connections(reactor: _core.Reactor, peers: list[Peer], count: int) -> list[socket.socket]:
    """Open connections over socket pairs, and return the clients' ends."""
    clients = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        theirs.sendall(REQUEST)
        reactor.adopt(ours.detach())
        clients.append(theirs)
        if len(clients) % 500 == 0:
            await asyncio.sleep(0)
    while len(peers) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return clients


def subscribe(hub: _core.Hub, peers: list[Peer], each: int, topics: int) -> float:
    """Subscribe every connection to several of so many topics; return bytes for each subscription."""
    before = rss()
    number = 0
    for peer in peers:
        for _ in range(each):
            hub.subscribe(peer, f"room:{number % topics:06}")
            number += 1
    return (rss() - before) / number


async def time_publishing(hub: _core.Hub, topic: str) -> float:
    """Return the microseconds that one publication to one subscriber takes: the median of several runs."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(PUBLICATIONS):
            hub.publish(topic, b"x" * 32, True)
        times.append((time.perf_counter() - started) / PUBLICATIONS * 1e6)
        await asyncio.sleep(0.01)
    return statistics.median(times)


async def discard(client: socket.socket) -> None:
    """Read what comes, so that the one who is timed is never a slow one."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    while await loop.sock_recv(client, 1 << 20):
        pass


async def run(connections: int, each: int) -> None:
    """Measure, and print."""
    hub, peers = _core.Hub(), list[Peer]()

    def application(peer: Peer) -> None:
        _ = peer.accept_handshake(None, [])
        peers.append(peer)

    options = _core.Options(max_connections=connections + 1, outbound_limit=1 << 26, ping_interval=0.0)
    reactor = _core.Reactor(asyncio.get_running_loop(), Peer, application, None, options, hub)
    reactor.start()
    clients = await open_connections(reactor, peers, connections)
    total = connections * each
    for topics in (1, max(1, total // 100), total):  # what one row frees, the next may use again
        size = subscribe(hub, peers, each, topics)
        print(f"{total:>9,} subscriptions to {topics:>7,} topics: {size:7.1f} bytes each")
        for peer in peers:
            for name in hub.topics_of(peer):
                hub.unsubscribe(peer, name)
    reader = asyncio.create_task(discard(clients[0]))
    hub.subscribe(peers[0], "timed")
    made = 0
    for topics in TOPICS:
        for number in range(made, topics):
            hub.subscribe(peers[number % (connections - 1) + 1], f"topic:{number:06}")
        made = topics
        print(
            f"{topics:>9,} topics: {await time_publishing(hub, 'timed'):6.3f} us for a publication to one subscriber"
        )
    reader.cancel()
    loop_end = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: (reactor.close(), loop_end.set_result(None)))
    await loop_end


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description="Measure what topics cost.")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--subscriptions", type=int, default=10, help="for each connection")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < 2 * arguments.connections + SPARE:
        try:
            most = 2 * arguments.connections + SPARE
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (OSError, ValueError):
            parser.error(f"{most:,} open files are needed, two for each connection: see ulimit -Hn")
    asyncio.run(run(arguments.connections, arguments.subscriptions))


if __name__ == "__main__":
    main()
