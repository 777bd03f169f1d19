"""What topics cost in one process: memory of a subscription, and the time to publish as topics grow in number.

No sockets' work is measured: connections are ends of socket pairs, and the publications timed go to one subscriber.
Numbers depend on the machine; what counts is that they stay flat from one row to the next.

    python benchmarks/hub.py --connections 10000 --subscriptions 10
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import socket
import statistics
import time
from pathlib import Path

from django_bolt import _core

TOPICS = [1, 10, 100, 1_000, 10_000, 100_000]
PUBLICATIONS = 2_000
REPEATS = 7
BATCH = 200
"""Descriptors sent at once; Linux takes 253."""
REQUEST = _core.ClientProtocol("/", "localhost").request()


class Peer(_core.Connection):
    """The server's side of a connection."""


def rss() -> int:
    """Return the resident set of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def hold_clients() -> socket.socket:
    """Return a socket to a process that keeps open what it is sent, so that here one descriptor for each pair does."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    held = []
    while (received := socket.recv_fds(theirs, 1, BATCH))[0]:
        held.append(received[1])
    os._exit(0)


async def open_connections(
    reactor: _core.Reactor, peers: list[Peer], count: int, holder: socket.socket
) -> socket.socket:
    """Open connections over socket pairs, and return the client's end of the first; the others' are held elsewhere."""
    clients: list[socket.socket] = []
    first = connect(reactor)
    for number in range(1, count):
        clients.append(connect(reactor))
        if len(clients) == BATCH or number == count - 1:
            socket.send_fds(holder, [b"x"], [client.fileno() for client in clients])
            for client in clients:
                client.close()
            clients.clear()
            await asyncio.sleep(0)
    while len(peers) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return first


def connect(reactor: _core.Reactor) -> socket.socket:
    """Return a client's end of a new connection, with the opening handshake sent."""
    ours, theirs = socket.socketpair()
    theirs.sendall(REQUEST)
    reactor.adopt(ours.detach())
    return theirs


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


async def run(connections: int, each: int, holder: socket.socket) -> None:
    """Measure, and print."""
    hub, peers = _core.Hub(), list[Peer]()

    def application(peer: Peer) -> None:
        _ = peer.accept_handshake(None, [])
        peers.append(peer)

    options = _core.Options(max_connections=connections + 1, outbound_limit=1 << 26, ping_interval=0.0)
    reactor = _core.Reactor(asyncio.get_running_loop(), Peer, application, None, options, hub)
    reactor.start()
    client = await open_connections(reactor, peers, connections, holder)
    total = connections * each
    for topics in (1, max(1, total // 100), total):  # what one row frees, the next may use again
        size = subscribe(hub, peers, each, topics)
        print(f"{total:>9,} subscriptions to {topics:>7,} topics: {size:7.1f} bytes each")
        for peer in peers:
            for name in hub.topics_of(peer):
                hub.unsubscribe(peer, name)
    reader = asyncio.create_task(discard(client))
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
    needed = max(most, arguments.connections + 2 * BATCH)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
    except (OSError, ValueError):
        parser.error(f"{needed:,} open files are needed, one for each connection: see ulimit -Hn")
    with hold_clients() as holder:
        asyncio.run(run(arguments.connections, arguments.subscriptions, holder))
    os.wait()


if __name__ == "__main__":
    main()
