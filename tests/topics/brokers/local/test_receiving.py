from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from django_bolt.exceptions import BrokerUnavailable
from django_bolt.topics.brokers.drops import Drops
from django_bolt.topics.brokers.local import receiving as module
from django_bolt.topics.brokers.local.directory import RuntimeDirectory
from django_bolt.topics.brokers.local.receiving import Receiver
from django_bolt.topics.publication import Publication, encode

LARGEST = 100_000


class Received:
    """A receiver, and what it got."""

    def __init__(self, runtime: RuntimeDirectory) -> None:
        self.runtime = runtime
        self.drops = Drops()
        self.publications: asyncio.Queue[Publication] = asyncio.Queue()
        self.receiver = Receiver(runtime, LARGEST, self.publications.put_nowait, self.drops)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.runtime.path / self.receiver.name))
        connection.settimeout(5)
        return connection


@pytest.fixture
async def received(runtime: RuntimeDirectory) -> AsyncIterator[Received]:
    received = Received(runtime)
    received.receiver.start()
    yield received
    received.receiver.stop()


def frame(publication: Publication) -> bytes:
    raw = encode(publication)
    return struct.pack(">I", len(raw)) + raw


async def until(is_true: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    while not is_true():  # noqa: ASYNC110
        await asyncio.sleep(0)


def numbered(number: int, size: int = 0) -> Publication:
    return Publication("room:1", str(number).encode().ljust(size), False)


async def test_frames_arrive_however_they_are_cut(received: Received) -> None:
    stream = b"".join(frame(numbered(number)) for number in range(5))
    with received.connect() as connection:
        for cut in (1, 3, 4, 5, 30, len(stream)):
            for start in range(0, len(stream), cut):
                connection.send(stream[start : start + cut])
                if cut < 30:
                    await asyncio.sleep(0)
            assert [await received.publications.get() for _ in range(5)] == [numbered(n) for n in range(5)]


async def test_large_frames_arrive(received: Received) -> None:
    large = numbered(1, LARGEST - 100)
    with received.connect() as connection:
        sending = asyncio.to_thread(connection.sendall, frame(large) * 3)
        await sending
        assert [await received.publications.get() for _ in range(3)] == [large] * 3


async def test_what_is_no_publication_is_counted_and_the_next_arrives(received: Received) -> None:
    with received.connect() as connection:
        connection.send(struct.pack(">I", 5) + b"\x01abcd" + struct.pack(">I", 0) + frame(numbered(1)))
        assert await received.publications.get() == numbered(1)
    assert received.drops.counts() == {"invalid": 2}


async def test_a_frame_beyond_the_limit_ends_its_connection(received: Received) -> None:
    with received.connect() as hostile, received.connect() as other:
        hostile.send(frame(numbered(1)) + struct.pack(">I", LARGEST + 1) + b"x")
        assert await received.publications.get() == numbered(1)
        assert await asyncio.to_thread(hostile.recv, 1) == b""
        other.send(frame(numbered(2)))
        assert await received.publications.get() == numbered(2)
    assert received.drops.counts() == {"too_large": 1}


async def test_others_have_their_turn(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN", 0)
    turns = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(received.publications.qsize()))

    with received.connect() as connection:
        connection.send(b"".join(frame(numbered(number)) for number in range(50)))
        while received.publications.qsize() < 50:
            turns.append(received.publications.qsize())
            await asyncio.sleep(0)
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) == 1


async def test_a_process_of_another_user_is_refused(
    received: Received, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "is_own_peer", lambda connection: False)
    with caplog.at_level(logging.WARNING, "django_bolt.topics"), received.connect() as connection:
        assert await asyncio.to_thread(connection.recv, 1) == b""
    assert "another user" in caplog.text
    assert received.receiver.connections == set()


async def test_a_socket_that_was_removed_is_made_again(
    runtime: RuntimeDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL", 0.01)
    received = Received(runtime)
    received.receiver.start()
    path = runtime.path / received.receiver.name
    with caplog.at_level(logging.WARNING, "django_bolt.topics"), received.connect() as before:
        path.unlink()
        runtime.path.rmdir()
        await until(path.exists)
        with received.connect() as after:
            before.send(frame(numbered(1)))
            assert await received.publications.get() == numbered(1)
            after.send(frame(numbered(2)))
            assert await received.publications.get() == numbered(2)
    received.receiver.stop()
    assert not path.exists()
    assert len(caplog.messages) == 1


async def test_it_accepts_again_when_descriptors_are_free(
    received: Received, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL", 0.02)
    received.receiver._look_after()  # with the short interval from now on

    class Exhausted:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

        def __getattr__(self, name: str) -> object:
            return getattr(listener, name)

    listener = received.receiver._listener
    assert listener is not None
    with monkeypatch.context() as context, caplog.at_level(logging.WARNING, "django_bolt.topics"):
        context.setattr(received.receiver, "_listener", Exhausted())
        connection = received.connect()
        await until(lambda: "Too many open files" in caplog.text)
    connection.send(frame(numbered(1)))
    assert await received.publications.get() == numbered(1)
    connection.close()
    assert len(caplog.messages) < 5


async def test_a_connection_that_ends_is_forgotten(received: Received) -> None:
    with received.connect() as connection:
        connection.send(frame(numbered(1))[:-1])
        await until(lambda: received.receiver.connections)
    await until(lambda: not received.receiver.connections)


async def test_after_the_stop_nobody_finds_it(received: Received) -> None:
    connection = received.connect()
    connection.send(frame(numbered(1)))
    await received.publications.get()
    received.receiver.stop()
    received.receiver.stop()
    assert connection.recv(1) == b""
    connection.close()
    assert list(received.runtime.path.iterdir()) == []


async def test_a_path_that_is_too_long_is_said(tmp_path: object) -> None:
    runtime = RuntimeDirectory("k" * 90, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(BrokerUnavailable, match=r"at most 10\d bytes.*name a shorter directory"):
        Received(runtime).receiver.start()


async def test_no_socket_can_be_made(runtime: RuntimeDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.path.chmod(0o755)
    with pytest.raises(BrokerUnavailable, match="must be 0700"):
        Received(runtime).receiver.start()


async def test_who_stops_while_there_can_be_no_socket_stays_stopped(
    received: Received, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL", 0.001)
    with received.connect(), monkeypatch.context() as patch:
        await until(lambda: received.receiver.connections)
        patch.setattr(module, "listen", fail)
        (received.runtime.path / received.receiver.name).unlink()
        received.receiver._look_after()
        received.receiver.stop()
    assert not received.receiver.connections
    await asyncio.sleep(0.01)
    assert not list(received.runtime.path.iterdir())


def fail(directory: object, name: str) -> socket.socket:
    raise OSError("no room")
