"""A browser, and the chat example served by ``runbolt`` as a user would start it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "chat"
ARTIFACTS = ROOT / "tests" / "artifacts"
START_TIMEOUT = 30
STOP_TIMEOUT = 20

# Quiet: no sandbox for containers that run as root, and no requests but the test's own.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Visit = Callable[..., Page]

expect.set_options(timeout=20_000)  # milliseconds; five seconds are not enough where other tests run beside


class ChatSite:
    """The example site in a process of its own, on a free port and with a database of its own."""

    def __init__(self, directory: Path) -> None:
        """Prepare the database in `directory`, where the server's log is written too."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "runbolt.log"
        self.database = directory / "chat.sqlite3"
        self.environment = os.environ | {"CHAT_DB": str(self.database), "PYTHONUNBUFFERED": "1"}
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.process: subprocess.Popen[bytes] | None = None
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed_demo")

    def manage(self, *arguments: str) -> str:
        """Run a management command to its end and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command,
            cwd=EXAMPLE,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def forget_messages(self) -> None:
        """Empty the rooms of what was said, so that a test sees only its own messages."""
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute("DELETE FROM rooms_message")

    def start(self) -> None:
        """Serve, and return once the port takes connections."""
        command = [
            sys.executable,
            "manage.py",
            "runbolt",
            f"127.0.0.1:{self.port}",
            "--workers",
            "2",
            "--noreload",
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=EXAMPLE, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait_for_port(self.process)

    def workers(self) -> list[int]:
        """Return the process ids of the workers, on Linux."""
        assert self.process is not None
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        """Try to connect until it works, the server has ended, or it is too late."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"runbolt does not answer on port {self.port}:\n{self.log.read_text()}")

    def stop(self) -> int | None:
        """Stop as SIGTERM asks for and return the exit status."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"runbolt did not stop within {STOP_TIMEOUT} s of SIGTERM:\n{self.log.read_text()}")
        self.process = None
        return status


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def find_chromium() -> str | None:
    """Return the path of Chromium: ``CHROMIUM`` from the environment, or what is installed."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window. Of module scope, as Playwright's event loop must not outlive these tests."""
    executable = find_chromium()
    if executable is None:
        reason = "no Chromium: install Debian's `chromium`, or name one in the environment variable CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chat_files(tmp_path_factory: pytest.TempPathFactory) -> ChatSite:
    """The chat example with a filled database, not served yet."""
    return ChatSite(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def chat(browser: Browser, chat_files: ChatSite) -> Iterator[ChatSite]:
    """The chat example, served. It wants the browser first: without one, nothing needs to start."""
    chat_files.start()
    yield chat_files
    chat_files.stop()


@pytest.fixture
def visit(browser: Browser, chat: ChatSite) -> Iterator[Visit]:
    """Return a function that opens an address as a new visitor, with cookies and storage of their own.

    Nothing has been said in the rooms yet. A script error on any of the pages fails the test.
    """
    chat.forget_messages()
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def visit(path: str, **options: object) -> Page:
        context = browser.new_context(base_url=chat.url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The directory for screenshots, which git ignores."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS
