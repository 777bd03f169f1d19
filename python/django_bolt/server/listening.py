"""Listening sockets: one for all workers where the system cannot share a port, one for each where it can."""

from __future__ import annotations

import math
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, replace

__all__ = ["Address", "UnixAddress", "bind", "bind_unix", "bind_worker", "detect_dead_peers", "reserve"]

BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted."""

PROBES = 3
"""Keepalive probes without an answer after which a peer is dead, where the kernel cannot be told a time for it."""

CAN_BALANCE = sys.platform == "linux"
"""Whether SO_REUSEPORT spreads connections over the sockets of a port."""


@dataclass(frozen=True)
class Address:
    """Where to listen for TCP.

    Attributes:
        host: Name or address.
        port: Port; 0 lets the system choose.
        ipv6: Whether `host` is an IPv6 address or is to be looked up as one.
    """

    host: str
    port: int
    ipv6: bool = False

    @property
    def family(self) -> socket.AddressFamily:
        """Address family to bind in."""
        return socket.AF_INET6 if self.ipv6 else socket.AF_INET

    def url(self, scheme: str) -> str:
        """Return the address of the site."""
        host = f"[{self.host}]" if self.ipv6 else self.host
        return f"{scheme}://{host}:{self.port}/"


@dataclass(frozen=True)
class UnixAddress:
    """A Unix socket to listen on, usually behind a proxy.

    Attributes:
        path: Where in the file system.
    """

    path: str

    def url(self, scheme: str) -> str:
        """Return the address as proxies write it."""
        return f"{scheme}+unix://{self.path}"


def bind(address: Address | UnixAddress) -> socket.socket:
    """Bind and listen.

    Raises:
        OSError: The address cannot be had.
    """
    if isinstance(address, UnixAddress):
        return bind_unix(address)
    return _start(_make_socket(address), address)


def bind_unix(address: UnixAddress) -> socket.socket:
    """Bind and listen on a Unix socket; one that a dead server left behind is replaced.

    Everybody may connect, as with a port; the directory's mode says who may reach it.

    Raises:
        OSError: The path cannot be had: a server listens there, or it is no socket.
    """
    _remove_stale(address.path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address.path)
        os.chmod(address.path, 0o666)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def reserve(address: Address) -> tuple[socket.socket, Address]:
    """Hold a port for workers that each listen on it, without listening.

    Fails where another server has the port, though sharing it would succeed.

    Returns:
        The socket that holds it, and the address with the port that was chosen.

    Raises:
        OSError: The address cannot be had.
    """
    with _make_socket(address) as probe:
        probe.bind((address.host, address.port))
    holder = _make_socket(address)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((address.host, address.port))
    return holder, replace(address, port=holder.getsockname()[1])


def bind_worker(address: Address) -> socket.socket:
    """Bind and listen on a port that the workers of this server share.

    Raises:
        OSError: The address cannot be had.
    """
    listener = _make_socket(address)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _start(listener, address)


def detect_dead_peers(listener: socket.socket, interval: float, timeout: float) -> None:
    """Have the kernel end TCP connections whose peer is dead, which is found out as by pings.

    Pings alone do not tell while a connection is not read, since the pong may be among what is waiting, nor of
    connections that are no WebSockets.

    Args:
        listener: Passes it on to the sockets that it accepts from now on.
        interval: Seconds of silence after which the peer is asked.
        timeout: Seconds that it may take to answer.
    """
    if listener.family == socket.AF_UNIX:
        return  # whose kernel is the peer's, too
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = _seconds(interval)
    wanted = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPALIVE": idle,  # as macOS has it
        "TCP_KEEPINTVL": _seconds(timeout / PROBES),
        "TCP_KEEPCNT": PROBES,
        # Also for what the peer does not acknowledge, or does not take. In milliseconds.
        "TCP_USER_TIMEOUT": min(math.ceil((interval + timeout) * 1000), 2**31 - 1),
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _seconds(time: float) -> int:
    """Return a time as the kernel takes it: in whole seconds, up to 32,767."""
    return min(math.ceil(time), 2**15 - 1)


def _make_socket(address: Address) -> socket.socket:
    made = socket.socket(address.family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _start(listener: socket.socket, address: Address) -> socket.socket:
    try:
        # Accepted sockets inherit it, which saves a system call for each.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket on which nobody listens; leave anything else for `bind` to fail on."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(BlockingIOError):
            probe.setblocking(False)  # a living server whose queue is full would let us wait
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
