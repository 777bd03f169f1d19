"""A Django project in a folder of the test's own, whose source a test may change while it is served."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

START_TIMEOUT = 30
STOP_TIMEOUT = 20
SERVING = re.compile(r"^Serving (?P<what>.+) at (?P<url>\S+) \((?P<how>.*)\)$", re.MULTILINE)

SETTINGS = """
import json, os
from pathlib import Path
SECRET_KEY = "only-for-tests-and-longer-than-32-bytes"
DEBUG = os.environ.get("OWN_SITE_DEBUG") == "1"
ALLOWED_HOSTS = json.loads(os.environ.get("OWN_SITE_HOSTS", '["127.0.0.1", "localhost", "[::1]"]'))
ROOT_URLCONF = "own_site.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop", "django_bolt"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent.parent / "db.sqlite3"}}
BOLT = json.loads(os.environ.get("OWN_SITE_BOLT", "{}"))
"""

API = """
import asyncio, os
from django_bolt import BoltAPI, WebSocket

api = BoltAPI()
ANSWER = "first"


@api.websocket("/ws/answer")
async def answer(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(f"{ANSWER} {os.getpid()}")
    async for message in websocket:
        await websocket.send(message)
"""

STUBBORN_API = """
import asyncio
from django_bolt import BoltAPI, WebSocket

stubborn_api = BoltAPI()


@stubborn_api.websocket("/ws/stubborn")
async def stubborn(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("ready")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise


@stubborn_api.websocket("/ws/undecided")
async def undecided(websocket: WebSocket):
    await asyncio.sleep(60)


@stubborn_api.websocket("/ws/blocking")
async def blocking(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("ready")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("refuses to go", flush=True)
"""

URLS = """
import asyncio, os
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path


async def slow(request):
    async def lines():
        for number in range(5):
            yield f"{number}\\n"
            await asyncio.sleep(0.1)
    return StreamingHttpResponse(lines())


urlpatterns = [path("", lambda request: HttpResponse(f"page {os.getpid()}")), path("slow/", slow)]
"""

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "own_site.settings"
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


class OwnSite:
    """The project.

    Args:
        directory: Empty folder for it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write("manage.py", MANAGE)
        self.write("own_site/__init__.py", "")
        self.write("own_site/settings.py", SETTINGS)
        self.write("own_site/urls.py", URLS)
        self.write("own_site/api.py", API)
        self.write("shop/__init__.py", "")
        self.write("shop/api.py", STUBBORN_API)
        self._running: list[Running] = []

    def write(self, name: str, text: str) -> None:
        """Write a file of the project, as an editor does: the whole of it at once."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(path)

    def environment(
        self, bolt: Mapping[str, Any] | None = None, debug: bool = False, hosts: list[str] | None = None
    ) -> dict[str, str]:
        """Return the environment for a process with such settings."""
        import json

        # Written code, not what was compiled within the same second.
        own = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OWN_SITE_DEBUG": "1" if debug else "0",
        }
        own["OWN_SITE_BOLT"] = json.dumps(bolt or {})
        if hosts is not None:
            own["OWN_SITE_HOSTS"] = json.dumps(hosts)
        environment = os.environ | own
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        return environment

    def run(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run ``runbolt`` to its end, which must come by itself."""
        return subprocess.run(
            [sys.executable, "manage.py", "runbolt", *arguments],
            cwd=self.directory,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            check=False,
        )

    def start(self, *arguments: str, address: str = "127.0.0.1:0", **settings: Any) -> Running:
        """Start ``runbolt``, by default on a free port; returns once it has said where."""
        log = self.directory / f"runbolt-{len(self._running)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "runbolt", address, *arguments],
                cwd=self.directory,
                env=self.environment(**settings),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Running(process, log)
        self._running.append(running)
        running.wait_until_serving()
        return running

    def end(self) -> None:
        """Kill what still runs."""
        for running in self._running:
            running.kill()


class Running:
    """A process that serves.

    Args:
        process: The process.
        log: File that takes what it writes.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.banner = ""
        self.url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            assert self.stop() == 0, self.output()
        self.kill()

    @property
    def port(self) -> int:
        """The port."""
        return int(self.url.rstrip("/").rpartition(":")[2])

    def wait_until_serving(self) -> None:
        """Wait for the line that says where it serves, and for the first worker to answer."""
        self.until(lambda: SERVING.search(self.output()), "the banner")
        match = SERVING.search(self.output())
        assert match is not None
        self.banner, self.url = match[0], match["url"]

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for a condition while the process runs; returns what it gave."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (found := condition()):
            assert time.monotonic() < deadline, f"gave up waiting for {what}:\n{self.output()}"
            assert self.process.poll() is None, f"it ended before {what}:\n{self.output()}"
            time.sleep(0.01)
        return found

    def output(self) -> str:
        """Return what it has written."""
        return self.log.read_text()

    def connect(self, path: str = "/ws/answer", **options: Any) -> ClientConnection:
        """Open a WebSocket, waiting for a server that is about to listen."""
        url = self.url.replace("http", "ws", 1).rstrip("/") + path

        def attempt() -> ClientConnection | None:
            try:
                # Entered here, since some tests keep it beyond a with statement.
                return connect(
                    url, open_timeout=START_TIMEOUT, close_timeout=5, proxy=None, **options
                ).__enter__()
            except (ConnectionError, EOFError):
                return None
            except InvalidStatus as refusal:
                if refusal.response.status_code != 503:
                    raise
                return None  # by a server that is about to stop

        client: ClientConnection = self.until(attempt, "a connection")
        return client

    def ask(self) -> tuple[str, int]:
        """Return the answer of the code that is served, and the process that gave it."""
        with self.connect() as client:
            answer, pid = str(client.recv(timeout=STOP_TIMEOUT)).split()
        return answer, int(pid)

    def send_signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(STOP_TIMEOUT)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it by a signal; returns the exit code."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        self.process.kill()
        self.process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process runs: not one that has ended and that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
