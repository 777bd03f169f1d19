"""Parent processes: one that keeps a number of workers running, one that restarts a worker when the source changes."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import socket, socketpair
from types import FrameType

import django
from django.apps import apps
from django.utils.autoreload import StatReloader, autoreload_started
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.basereload import BaseReload

from django_bolt.server.stopping import STOP_SIGNALS, handle_signals
from django_bolt.server.worker import Worker

__all__ = ["SourceReload", "Supervisor", "Workers"]

logger = logging.getLogger("django_bolt.server")

_SPAWN = multiprocessing.get_context("spawn")  # A fork would copy threads' locks and an event loop.

CRASH_LOOP = 1.0
"""A worker that lived shorter than this, in seconds, is replaced only after as long a pause."""


class Supervisor:
    """Keeps a number of worker processes running.

    A worker that dies is replaced and its siblings are left alone; one that cannot even start ends all.

    Args:
        worker: What each process runs.
        count: Number of workers.
        sockets: Sockets for each worker to listen on, besides one of its own.
    """

    def __init__(self, worker: Worker, count: int, sockets: list[socket] | None = None) -> None:
        self.worker = worker
        self.count = count
        self.sockets = sockets or []
        self.workers: dict[int, SpawnProcess] = {}
        self.exit_code = 0
        self._started_at: dict[int, float] = {}
        self._signals = 0
        self._wake_receiver, self._wake_sender = socketpair()

    def run(self) -> int:
        """Run until a signal comes.

        Returns:
            Exit code for the process: 0 after a signal.
        """
        self._wake_sender.setblocking(False)
        with self._wake_receiver, self._wake_sender, handle_signals(STOP_SIGNALS, self._on_signal):
            previous = signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
            try:
                while len(self.workers) < self.count and not self._signals:
                    self._start()
                self._watch()
                self._stop()
            finally:
                signal.set_wakeup_fd(previous)
        return self.exit_code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self) -> None:
        worker = _SPAWN.Process(target=self.worker, kwargs={"sockets": self.sockets})
        worker.start()
        self.workers[worker.sentinel] = worker
        self._started_at[worker.sentinel] = time.monotonic()

    def _watch(self) -> None:
        while not self._signals and not self.exit_code:
            for worker in self._wait():
                self._replace(worker)

    def _wait(self) -> list[SpawnProcess]:
        """Wait for a signal or for workers to end; returns those that did."""
        ready = multiprocessing.connection.wait([*self.workers, self._wake_receiver])
        if self._wake_receiver in ready:
            self._wake_receiver.recv(64)
        return [self.workers.pop(sentinel) for sentinel in ready if isinstance(sentinel, int)]

    def _replace(self, worker: SpawnProcess) -> None:
        worker.join()
        lived = time.monotonic() - self._started_at.pop(worker.sentinel)
        if self._signals:
            return
        if worker.exitcode == STARTUP_FAILURE:
            logger.error("Worker %s could not start; stopping.", worker.pid)
            self.exit_code = STARTUP_FAILURE
            return
        logger.warning("Worker %s ended with %s; starting another.", worker.pid, worker.exitcode)
        if lived < CRASH_LOOP:
            multiprocessing.connection.wait([self._wake_receiver], timeout=CRASH_LOOP)
        self._start()

    def _stop(self) -> None:
        """Stop the workers gracefully; a second signal is passed on and stops them at once, a third kills them."""
        passed_on = self._signals
        self._terminate()
        while self.workers:
            for worker in self._wait():
                worker.join()
            if self._signals > passed_on:
                passed_on = self._signals
                self._terminate(at_once=passed_on > 2)

    def _terminate(self, at_once: bool = False) -> None:
        for worker in self.workers.values():
            worker.kill() if at_once else worker.terminate()


class Workers:
    """A supervisor as the child of `SourceReload`. Called in the new process."""

    def __init__(self, worker: Worker, count: int) -> None:
        self.worker = worker
        self.count = count

    def __call__(self, sockets: list[socket] | None = None) -> None:
        if not apps.ready:
            django.setup()
        raise SystemExit(Supervisor(self.worker, self.count, sockets).run())


class SourceReload(BaseReload):
    """Restarts a process when the source changes, watching what ``runserver`` watches.

    That is every module that was imported, the code of the installed apps, templates and translations.

    Args:
        target: What the process runs; gets the sockets as the keyword ``sockets``.
        sockets: Sockets that listen all the while, so that clients wait through a reload instead of being refused.
    """

    def __init__(self, target: Worker | Workers, sockets: list[socket]) -> None:
        super().__init__(Config("", log_config=None, reload_delay=0.5), target, sockets)
        self.reloader_name = "StatReloader"
        self._reloader = StatReloader()
        autoreload_started.send(sender=self._reloader)
        for directory in _project_directories():
            self._reloader.watch_dir(directory, "**/*.py")
        self._times = dict(self._reloader.snapshot_files())

    def run(self) -> None:
        """Run until a signal comes."""
        with handle_signals(STOP_SIGNALS, self.signal_handler):
            super().run()

    def signal_handler(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal is passed on and stops the process at once."""
        if self.should_exit.is_set() and hasattr(self, "process"):
            self.process.terminate()
        self.should_exit.set()

    def should_restart(self) -> list[Path] | None:
        """Wait a little; returns the files that changed since."""
        self.pause()
        times = dict(self._reloader.snapshot_files())
        # A file seen for the first time is new or newly imported; neither asks for a restart.
        changed = [path for path, time in times.items() if self._times.get(path, time) != time]
        self._times = times
        return changed or None


def _project_directories() -> Iterator[Path]:
    """Directories of the apps that are the project's own, not installed packages."""
    for config in apps.get_app_configs():
        path = Path(config.path)
        if not {"site-packages", "dist-packages"} & set(path.parts):
            yield path
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    package = Path(*module.split(".")[:1])
    if (Path.cwd() / package).is_dir():
        yield Path.cwd() / package
