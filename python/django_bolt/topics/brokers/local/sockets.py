"""Unix sockets as the broker uses them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from pathlib import Path

from django_bolt.topics.publication import WIRE_OVERHEAD

__all__ = ["HEADER", "check_length", "is_own_peer", "largest_frame", "remove"]

HEADER = struct.Struct(">I")
"""What precedes each publication: its length."""

MAX_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of a socket's path; what the kernel's address of a Unix socket has room for."""

_UCRED = struct.Struct("3i")  # process, user, group: ucred of Linux
_XUCRED = struct.Struct("2I")  # version, user: xucred of macOS and the BSDs
_LOCAL_PEERCRED = 1


def check_length(path: Path) -> None:
    """Check that a socket can be bound to a path.

    Raises:
        ValueError: It is too long.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise ValueError(
            f"the path of a Unix socket has at most {MAX_PATH} bytes, and {path} has {length}: "
            f"name a shorter directory, as in local:///run/mysite"
        )


def largest_frame(max_publication_size: int) -> int:
    """Return the most bytes of an encoded publication."""
    return max_publication_size + WIRE_OVERHEAD


def is_own_peer(connection: socket.socket) -> bool:
    """Whether a process of this user is at the other end, as the kernel says. A second lock on the door."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return bool(_UCRED.unpack(raw)[1] == os.getuid())
    try:
        raw = connection.getsockopt(0, _LOCAL_PEERCRED, 128)
    except OSError:
        return True  # The kernel does not say: the mode of the directory has to be enough.
    return bool(_XUCRED.unpack_from(raw)[1] == os.getuid())


def remove(path: Path) -> None:
    """Remove a socket that nobody listens on. Names are never used twice, so it cannot be another's."""
    with contextlib.suppress(OSError):
        path.unlink()
