"""A PostgreSQL server for tests, where it is installed: a cluster of its own in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

PLACES = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"]
TIMEOUT = 30


def find_programs() -> Path | None:
    """Return the folder with ``initdb`` and ``pg_ctl``; the newest, where there are several."""
    on_path = shutil.which("initdb")
    found = [
        path for place in PLACES for path in Path("/").glob(place.lstrip("/")) if (path / "initdb").exists()
    ]
    return max(found, default=Path(on_path).parent if on_path else None)


class PostgreSQL:
    """A cluster that listens on a Unix socket alone.

    Args:
        programs: Folder with the programs of the server.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not below pytest's folder, which is closed to others than root, as whom the server refuses to run.
        self.directory = Path(tempfile.mkdtemp(prefix="bolt-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.directory.chmod(0o755)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The entry of ``DATABASES``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": str(self.directory),
        }

    def create(self) -> None:
        """Make the cluster and start it."""
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8")
        self.start()

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        options = f"-F -c listen_addresses='' -c unix_socket_directories='{self.directory}'"
        self._run("pg_ctl", "--wait", "--options", options, "--log", str(self.directory / "log"), "start")

    def stop(self) -> None:
        """Stop the server, ending its connections."""
        self._run("pg_ctl", "--wait", "--mode=fast", "stop")

    def remove(self) -> None:
        """Stop the server and delete the cluster."""
        if (self.directory / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory)

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as output:  # no pipe, which the server would hold open
            done = subprocess.run(
                [str(self._programs / program), "-D", str(self.directory / "data"), *arguments],
                cwd=self.directory,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, output.read().decode()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server; the test is skipped where none is installed, but not in the CI of Linux."""
    programs = find_programs()
    if programs is None:
        reason = "no PostgreSQL: scripts/install-postgresql installs Debian's"
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(reason)
        pytest.skip(reason)
    pytest.importorskip("psycopg_pool", reason="psycopg is not installed")
    server = PostgreSQL(programs)
    try:
        server.create()
        yield server
    finally:
        server.remove()
