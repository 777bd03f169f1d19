from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.topics.brokers.drops import DropReason, Drops
from django_bolt.topics.brokers.local import peer as peer_module
from django_bolt.topics.brokers.local.directory import RuntimeDirectory
from django_bolt.topics.brokers.local.receiving import listen
from django_bolt.topics.brokers.local.sending import Sender

FRAME = b"x" * 10_000
LIMIT = 200_000


class Receiving:
    """A process that listens, and reads when it is told."""

    def __init__(self, runtime: RuntimeDirectory, name: str = "a") -> None:
        self.path = runtime.path / name
        self.listener = listen(runtime.path, name)
        self.listener.setblocking(True)
        self.connection: socket.socket | None = None

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        if self.connection is None:
            self.connection, _ = self.listener.accept()
            self.connection.settimeout(10)
        got = bytearray()
        while len(got) < size:
            chunk = self.connection.recv(size - len(got))
            if not chunk:
                break
            got += chunk
        return bytes(got)

    def close(self) -> None:
        """End as a crash does: the socket stays in the directory."""
        self.listener.close()
        if self.connection is not None:
            self.connection.close()


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest.fixture
def sender(runtime: RuntimeDirectory, drops: Drops) -> Iterator[Sender]:
    settings = BoltSettings(broker_queue_limit=LIMIT, broker_timeout=0.2)
    sender = Sender(runtime, settings, drops)
    yield sender
    sender.close()


@pytest.fixture
def receiving(runtime: RuntimeDirectory) -> Iterator[Receiving]:
    receiving = Receiving(runtime)
    yield receiving
    receiving.close()


def test_who_is_alone_notices_a_process_that_comes(
    runtime: RuntimeDirectory, sender: Sender, receiving: Receiving
) -> None:
    sender.own_name = "a"
    assert sender.is_alone()
    other = Receiving(runtime, "b")
    assert not sender.is_alone()
    other.close()


def fill(sender: Sender) -> int:
    """Send until something waits; return how many frames were sent."""
    count = 1
    while not sender.send_soon(FRAME):
        count += 1
    return count


def test_every_process_gets_a_frame(sender: Sender, runtime: RuntimeDirectory) -> None:
    processes = [Receiving(runtime, name) for name in "abc"]
    sender.own_name = "c"
    sender.send(FRAME)
    assert [process.read(len(FRAME)) for process in processes[:2]] == [FRAME, FRAME]
    processes[2].listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        processes[2].listener.accept()
    for process in processes:
        process.close()


def test_what_waits_is_written_when_it_is_read(sender: Sender, receiving: Receiving) -> None:
    count = fill(sender) + 5
    for _ in range(5):
        sender.send_soon(FRAME)
    assert sender.queued > 5 * len(FRAME)
    assert receiving.read(count * len(FRAME)) == FRAME * count
    sender.flush()
    assert sender.queued == 0


def test_sending_waits_for_a_process_that_reads(sender: Sender, receiving: Receiving) -> None:
    count = fill(sender)
    reading = threading.Timer(0.05, receiving.read, [count * len(FRAME)])
    reading.start()
    sender.send(b"last")
    assert sender.queued == 0
    reading.join()
    assert receiving.read(4) == b"last"


def test_a_process_that_does_not_read_is_waited_for_once(
    sender: Sender, receiving: Receiving, drops: Drops, caplog: pytest.LogCaptureFixture
) -> None:
    fill(sender)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        for _ in range(2 * LIMIT // len(FRAME)):
            sender.send(FRAME)
    assert 0.2 <= time.monotonic() - started < 2
    assert sender.queued <= LIMIT
    dropped = drops.counts()["slow_process"]
    assert dropped >= LIMIT // len(FRAME)
    assert str(receiving.path) in caplog.messages[0]
    assert "takes no publications" in caplog.messages[0]


def test_a_process_that_has_caught_up_is_waited_for_again(sender: Sender, receiving: Receiving) -> None:
    count = fill(sender)
    sender.send(FRAME)
    receiving.read((count + 1) * len(FRAME))
    sender.flush()
    while sender.queued:
        time.sleep(0.001)  # the thread that writes has its turn
    fill(sender)
    assert sender.has_room(1)
    started = time.monotonic()
    sender.send(FRAME)
    assert time.monotonic() - started >= 0.2


def test_a_queue_that_is_full_has_room_once_it_is_read(sender: Sender, receiving: Receiving) -> None:
    count = fill(sender)
    while sender.has_room(len(FRAME)):
        sender.send_soon(FRAME)
        count += 1
    reading = threading.Timer(0.05, receiving.read, [count * len(FRAME)])
    reading.start()
    sender.send(b"last")
    reading.join()
    assert receiving.read(4) == b"last"


def test_what_has_no_room_is_dropped_at_once(sender: Sender, receiving: Receiving, drops: Drops) -> None:
    fill(sender)
    while sender.has_room(len(FRAME)):
        sender.send_soon(FRAME)
    assert drops.counts() == {}
    sender.send_soon(FRAME)
    assert drops.counts() == {"slow_process": 1}


def test_a_frame_larger_than_the_queue_is_sent(sender: Sender, receiving: Receiving) -> None:
    frame = b"y" * (10 * LIMIT)
    sender.send_soon(frame)
    assert receiving.read(len(frame)) == frame


def test_a_process_that_has_died_is_forgotten(
    sender: Sender, receiving: Receiving, drops: Drops, runtime: RuntimeDirectory
) -> None:
    sender.send(FRAME)
    assert receiving.path.exists()
    receiving.close()
    sender.send(FRAME)
    assert not receiving.path.exists()
    born = Receiving(runtime, "b")
    sender.send(b"hello")
    assert born.read(5) == b"hello"
    assert drops.counts() == {}
    born.close()


def test_a_process_that_dies_lets_nobody_wait(sender: Sender, receiving: Receiving) -> None:
    fill(sender)
    threading.Timer(0.05, receiving.close).start()
    started = time.monotonic()
    sender.send(FRAME)
    receiving.close()
    sender.send(FRAME)
    assert sender.queued == 0
    assert time.monotonic() - started < 2


@pytest.mark.skipif(sys.platform != "linux", reason="where there is no flag, a socket may have an option")
def test_a_process_that_has_died_ends_nobody_by_a_signal(sender: Sender, receiving: Receiving) -> None:
    sender.send(FRAME)
    receiving.read(len(FRAME))
    receiving.close()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sender.send(FRAME)
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_a_connection_that_is_ended_is_made_again(sender: Sender, receiving: Receiving) -> None:
    sender.send(FRAME)
    receiving.read(len(FRAME))
    assert receiving.connection is not None
    receiving.connection.close()
    receiving.connection = None
    sender.send(b"again")
    assert receiving.read(5) == b"again"


def test_a_process_whose_socket_is_gone_has_left(sender: Sender, receiving: Receiving) -> None:
    sender.send(FRAME)
    receiving.read(len(FRAME))
    receiving.path.unlink()
    sender.send(b"not for it")
    assert receiving.read(10) == b""


def test_a_process_that_does_not_accept_is_tried_again(runtime: RuntimeDirectory, drops: Drops) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(runtime.path / "a"))
    listener.listen(0)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(runtime.path / "a"))  # fills the queue of those to be accepted
        sender = Sender(runtime, BoltSettings(broker_timeout=5), drops)
        if not sender.send_soon(FRAME):
            pytest.skip("this kernel queues connections without a limit")
        listener.accept()[0].close()
        accepted, _ = listener.accept()
        assert accepted.recv(len(FRAME), socket.MSG_WAITALL) == FRAME
        accepted.close()
    sender.close()
    listener.close()


def test_a_process_of_another_user_gets_nothing(
    sender: Sender, receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "is_own_peer", lambda connection: False)
    sender.send(FRAME)
    assert receiving.read(len(FRAME)) == b""


def test_no_connection_can_be_made(
    sender: Sender, receiving: Receiving, drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(peer_module.socket, "socket", fail)
    with pytest.raises(BrokerUnavailable, match="Too many open files"):
        sender.send(FRAME)
    assert drops.counts() == {"unavailable": 1}
    monkeypatch.undo()
    sender.send(FRAME)
    assert receiving.read(len(FRAME)) == FRAME


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("socket.socketpair", OSError(24, "Too many open files")),
        ("threading.Thread.start", RuntimeError("can't start new thread")),
    ],
)
def test_what_waits_is_written_once_a_thread_can_be_had(
    sender: Sender,
    receiving: Receiving,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    error: Exception,
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "django_bolt.topics"):
        patch.setattr(f"django_bolt.topics.brokers.local.flushing.{name}", fail)
        count = fill(sender)
    assert str(error) in caplog.text
    sender.send_soon(FRAME)
    assert receiving.read((count + 1) * len(FRAME)) == FRAME * (count + 1)
    sender.flush()
    assert sender.queued == 0


def test_what_waits_at_the_end_is_counted(sender: Sender, receiving: Receiving, drops: Drops) -> None:
    fill(sender)
    sender.close()
    assert drops.counts() == {"slow_process": 1}
    assert sender.queued == 0


def test_what_waits_when_the_process_ends_is_counted_and_told(
    sender: Sender, receiving: Receiving, drops: Drops, caplog: pytest.LogCaptureFixture
) -> None:
    fill(sender)
    sender.send_soon(FRAME)
    drops.add(DropReason.SLOW_PROCESS, "before")
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        sender.end()
    assert drops.counts() == {"slow_process": 3}
    assert caplog.messages[-1].startswith("Dropped publications (slow_process): 2, in all 3;")


def test_the_thread_ends_when_there_is_nothing_to_do(
    sender: Sender, receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_bolt.topics.brokers.local.flushing.LINGER", 0.01)
    count = fill(sender)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "django_bolt-local"]
    receiving.read(count * len(FRAME))
    thread.join(5)
    assert not thread.is_alive()
    count = fill(sender)
    receiving.read(count * len(FRAME))


def test_a_directory_of_another_user_is_said(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeDirectory
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(BrokerUnavailable, match=str(Path(runtime.path))):
        sender.send(FRAME)
