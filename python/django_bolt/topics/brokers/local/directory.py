"""The directory in which the processes of one project find each other.

It holds one socket for each serving process. Only the user whose processes they are may enter it.

The directory of ``XDG_RUNTIME_DIR`` is not used: a login shell has that variable, while a service that systemd runs
for the same user has not, and the two would not meet.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path

from django.conf import settings as django_settings
from django.utils.crypto import salted_hmac

from django_bolt.exceptions import BrokerUnavailable

__all__ = ["RuntimeDirectory", "project_key"]

SETTLED = 50_000_000
"""Nanoseconds after which a directory's time of change tells all later changes apart, on any file system."""


def project_key(name: str) -> str:
    """Return what tells this project's directory from others': equal in all processes of the project.

    Args:
        name: Stands for the project's directory, so that two copies of a project can meet; empty: the directory
            is ``BASE_DIR``, or else what the settings module is named.
    """
    base = getattr(django_settings, "BASE_DIR", None)
    place = os.path.realpath(base) if base else str(getattr(django_settings, "SETTINGS_MODULE", None))
    return salted_hmac("django_bolt.local", name or place, algorithm="sha256").hexdigest()[:16]


class RuntimeDirectory:
    """The directory of one project.

    Args:
        key: Name of the directory; see `project_key`.
        base: Where it is; None: ``django_bolt-<user id>`` in the directory for temporary files.
    """

    def __init__(self, key: str, base: Path | None = None) -> None:
        private = base or Path(tempfile.gettempdir()) / f"django_bolt-{os.getuid()}"
        self.path = private / key
        self._text = str(self.path)  # quicker to ask for
        self._parents = [] if base else [private]
        self._listed: tuple[int, int] | None = None

    def make(self) -> None:
        """Make the directory, for this user alone.

        Raises:
            BrokerUnavailable: It cannot be made, or another user made one of that name.
        """
        for path in (*self._parents, self.path):
            try:
                path.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise self.unavailable(f"{path}: {error.strerror}") from error
            self._check(path)

    def list_if_changed(self) -> list[str] | None:
        """Return the names of the sockets; None if they are those that the last call returned.

        Raises:
            BrokerUnavailable: The directory is not this user's.
        """
        try:
            status = os.stat(self._text, follow_symlinks=False)
        except FileNotFoundError:
            return self._list_nothing()
        except OSError as error:  # such as a directory on the way that another user has made
            raise self.unavailable(str(error.strerror)) from error
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp == self._listed:
            return None
        for path in (*self._parents, self.path):
            self._check(path)
        # Two changes within one tick of the file system's clock look alike: until the clock has moved on, look again.
        self._listed = stamp if time.time_ns() - status.st_mtime_ns > SETTLED else None
        try:
            return [name for name in os.listdir(self._text) if not name.startswith(".")]
        except OSError as error:
            self._listed = None
            raise self.unavailable(str(error.strerror)) from error

    def forget(self) -> None:
        """Let the next `list_if_changed` return the names."""
        self._listed = None

    def unavailable(self, reason: str) -> BrokerUnavailable:
        """Return the exception to raise when something about this directory is wrong."""
        return BrokerUnavailable(f"local:// ({self.path})", reason)

    def _list_nothing(self) -> list[str] | None:
        nothing = (0, 0)
        if self._listed == nothing:
            return None
        self._listed = nothing
        return []

    def _check(self, path: Path) -> None:
        """In a directory for all users, anybody may have made one of that name, or a link to elsewhere."""
        try:
            status = path.lstat()
        except OSError as error:
            raise self.unavailable(f"{path}: {error.strerror}") from error
        if not stat.S_ISDIR(status.st_mode):
            raise self.unavailable(f"{path} is not a directory")
        if status.st_uid != os.getuid():
            raise self.unavailable(f"{path} belongs to user {status.st_uid}, not to {os.getuid()}")
        if status.st_mode & 0o077:
            raise self.unavailable(f"{path} is open to other users: its mode must be 0700")
