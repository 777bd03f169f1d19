"""Publishing while the server is away, hangs or comes back."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.testing.broker_contract.alone import METHODS, publish
from django_bolt.testing.broker_contract.process import OtherProcess, message
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.brokers.redis.exchange import Entry
from tests.topics.brokers.redis.relay import Relay, relaying
from tests.topics.brokers.redis.valkey import Valkey, wait_for

RAISE = BoltSettings(broker_timeout=1)
QUEUE = BoltSettings(broker_timeout=1, broker_outage="queue", broker_queue_limit=10_000)


@pytest.fixture
def broker(server: Valkey) -> Iterator[Broker]:
    broker = make_broker(f"redis://{server.address}", RAISE)
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
def relay(server: Valkey) -> Iterator[Relay]:
    with relaying(server.port) as relay:
        yield relay


@pytest.fixture
def other(server: Valkey) -> Iterator[OtherProcess]:
    with OtherProcess(f"redis://{server.address}", BoltSettings()) as other:
        other.subscribe("room:1")
        yield other


def succeeds(publish: Callable[[], object]) -> bool:
    """Whether publishing works."""
    try:
        publish()
    except BrokerUnavailable:
        return False
    return True


def test_an_outage_raises_and_ends(
    server: Valkey, broker: Broker, other: OtherProcess, caplog: pytest.LogCaptureFixture
) -> None:
    broker.publish(message("room:1", "before"))
    with caplog.at_level(logging.WARNING, "django_bolt.topics"):
        server.kill()
        with pytest.raises(BrokerUnavailable) as raised:
            broker.publish(message("room:1", "lost"))
        assert server.address in str(raised.value)
        started = time.monotonic()
        for method in METHODS:
            with pytest.raises(BrokerUnavailable):
                publish(broker, method, message("room:1", "lost"))
        assert time.monotonic() - started < 1
        assert not broker.status().available
        server.start()
        wait_for(lambda: broker.status().available)
        wait_for(lambda: other.status().available)
        other.subscribe()  # synced
        broker.publish(message("room:1", "after"))
    assert other.data(2) == [b"before", b"after"]
    status = broker.status()
    assert (status.available, status.outages) == (True, 1)
    assert 0 < status.seconds_away < 20
    assert [text.split(" (")[0].split(" after")[0] for text in caplog.messages] == [
        f"The broker redis://{server.address} is away",
        f"The broker redis://{server.address} is back",
    ]


@pytest.mark.parametrize("method", ["publish", "apublish"])
def test_a_server_that_was_never_there(broker: Broker, server: Valkey, method: str) -> None:
    server.kill()
    with pytest.raises(BrokerUnavailable):
        publish(broker, method, message("room:1"))


def test_what_nobody_waits_for_is_counted(broker: Broker, server: Valkey) -> None:
    server.kill()
    broker.publish_soon(message("room:1"))
    wait_for(lambda: broker.status().drops == {"unavailable": 1})


def test_a_server_that_hangs(server: Valkey, broker: Broker, other: OtherProcess) -> None:
    broker.publish(message("room:1", "before"))
    server.suspend()
    for method in ("publish", "apublish"):
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            publish(broker, method, message("room:1", "may arrive"))
        assert time.monotonic() - started < 3
    server.resume()
    wait_for(lambda: succeeds(lambda: broker.publish(message("room:1", "after"))))
    got = other.data(2)
    while b"after" not in got:
        got += other.data(1)
    assert got[0] == b"before"


def test_nothing_is_lost_silently_nor_sent_twice(server: Valkey, relay: Relay, other: OtherProcess) -> None:
    """The way to the server is cut in the middle of a stream of publications."""
    broker = make_broker(f"redis://{relay.address}", RAISE)
    refused = published = 0

    def mend() -> None:
        wait_for(lambda: not broker.status().available)
        relay.mend()
        wait_for(lambda: broker.status().available)  # or the next cut would be the same outage

    for breaking in (lambda: None, relay.cut, mend, relay.cut, mend):
        breaking()
        for _ in range(1000):
            refused += not succeeds(partial(broker.publish_soon, message("room:1", str(published))))
            published += 1
            time.sleep(0.0001)
    wait_for(lambda: succeeds(lambda: broker.publish(message("room:1", "-1"))))
    got = [int(data) for data in other.data(1)]
    while got[-1] != -1:
        got += [int(data) for data in other.data(1)]
    got.pop()
    drops = broker.status().drops
    assert got == sorted(set(got))
    assert len(got) + refused + drops.get("unavailable", 0) <= published
    assert len(got) + refused + sum(drops.values()) >= published
    assert broker.status().outages == 2
    asyncio.run(broker.stop())


def test_a_connection_that_the_server_ended_is_not_used(
    server: Valkey, broker: Broker, other: OtherProcess
) -> None:
    broker.publish(message("room:1", "before"))
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    broker.publish(message("room:1", "after"))
    assert other.data(2) == [b"before", b"after"]
    assert broker.status().outages == 0


def test_a_queue_keeps_what_is_published_in_an_outage(
    server: Valkey, relay: Relay, other: OtherProcess
) -> None:
    broker = make_broker(f"redis://{relay.address}", QUEUE)
    broker.publish(message("room:1", "before"))
    relay.cut()
    started = time.monotonic()
    for number in range(5):
        broker.publish(message("room:1", str(number)))
    broker.publish_soon(message("room:1", "5"))
    asyncio.run(broker.apublish(message("room:1", "6")))
    assert time.monotonic() - started < 2
    with pytest.raises(BrokerUnavailable, match="BROKER_QUEUE_LIMIT"):
        broker.publish(message("room:1", "x" * 10_000))
    assert broker.status().queued > 0
    assert not broker.status().available
    relay.mend()
    assert other.data(8) == [b"before", b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert broker.status().drops == {"queue_full": 1}
    asyncio.run(broker.stop())


def test_a_queue_that_nobody_takes_is_counted_at_the_end(server: Valkey) -> None:
    broker = make_broker(f"redis://{server.address}", QUEUE)
    server.kill()
    for _ in range(3):
        broker.publish(message("room:1"))
    started = time.monotonic()
    asyncio.run(broker.stop())
    assert time.monotonic() - started < 3
    assert broker.status().drops == {"unavailable": 3}


def test_a_queue_that_nobody_takes_is_told_when_the_process_ends() -> None:
    result = subprocess.run(
        [sys.executable, "-c", END_IN_AN_OUTAGE],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert "(unavailable): 1, in all 1" in result.stderr
    assert "(unavailable): 2, in all 3" in result.stderr


END_IN_AN_OUTAGE = """
from django.conf import settings
settings.configure(
    SECRET_KEY="x", BOLT={"BROKER": "redis://127.0.0.1:1", "BROKER_OUTAGE": "queue", "BROKER_TIMEOUT": 0.1}
)
from django_bolt import publish
for number in range(3):
    assert publish("room:1", "x").accepted
"""


def test_a_full_queue_has_room_when_the_server_reads(server: Valkey) -> None:
    settings = BoltSettings(broker_queue_limit=2000, broker_timeout=5)
    broker = make_broker(f"redis://{server.address}", settings)
    broker.publish(message("room:1"))
    server.suspend()
    broker.publish_soon(message("room:1"))
    wait_for(lambda: broker.status().queued == 0)
    while succeeds(lambda: broker.publish_soon(message("room:1", "x" * 500))):
        pass
    threading.Timer(0.05, server.resume).start()
    broker.publish(message("room:1", "y" * 500))

    async def main() -> None:
        await asyncio.gather(*(broker.apublish(message("room:1", "z" * 900)) for _ in range(10)))
        await broker.stop()

    asyncio.run(main())
    assert broker.status().drops == {"queue_full": 1}


def test_one_who_gives_up_does_not_publish(server: Valkey, other: OtherProcess) -> None:
    broker = make_broker(f"redis://{server.address}", BoltSettings(broker_timeout=5))

    async def main() -> None:
        await broker.apublish(message("room:1", "before"))
        server.suspend()
        first = asyncio.create_task(broker.apublish(message("room:1", "under way")))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(broker.apublish(message("room:1", "given up")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        server.resume()
        await first
        await broker.apublish(message("room:1", "after"))
        await broker.stop()

    asyncio.run(main())
    assert other.data(3) == [b"before", b"under way", b"after"]


def test_what_the_server_refuses_is_said(server: Valkey) -> None:
    server.ask("ACL", "SETUSER", "default", "resetchannels", "-publish")
    broker = make_broker(f"redis://{server.address}", RAISE)
    with pytest.raises(BrokerUnavailable, match=r"it refuses: .*permissions"):
        broker.publish(message("room:1"))
    broker.publish_soon(message("room:1"))
    wait_for(lambda: broker.status().drops == {"unavailable": 1})
    assert broker.status().outages == 0
    asyncio.run(broker.stop())


def test_credentials_are_not_told(server: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    server.ask("CONFIG", "SET", "requirepass", "right")
    broker = make_broker(f"redis://:wrong-secret@{server.address}", RAISE)
    with caplog.at_level(logging.DEBUG), pytest.raises(BrokerUnavailable) as raised:
        broker.publish(message("room:1"))
    assert "wrong-secret" not in caplog.text + str(raised.value) + repr(raised.value)
    with pytest.raises(BrokerUnavailable) as raised:
        broker.check()
    assert "wrong-secret" not in str(raised.value) + repr(raised.value)
    asyncio.run(broker.stop())
    right = make_broker(f"redis://:right@{server.address}", RAISE)
    right.check()
    right.publish(message("room:1"))
    asyncio.run(right.stop())


def test_a_handler_of_the_log_may_publish(relay: Relay, other: OtherProcess) -> None:
    broker = make_broker(f"redis://{relay.address}", BoltSettings(broker_timeout=5, broker_outage="queue"))

    class Publishing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            broker.publish(message("room:1", record.getMessage()))

    logger, handler = logging.getLogger("django_bolt.topics"), Publishing()
    logger.addHandler(handler)
    try:
        relay.cut()
        started = time.monotonic()
        broker.publish(message("room:1", "said in the outage"))
        assert time.monotonic() - started < 4
        relay.mend()
        wait_for(lambda: broker.status().available)
    finally:
        logger.removeHandler(handler)
    got: list[bytes] = []
    while not any(b"is back after" in data for data in got):
        got += other.data(1)
    asyncio.run(broker.stop())
    assert any(b"is away" in data for data in got)
    assert b"said in the outage" in got


def test_a_mistake_of_ours_is_logged_and_the_next_publication_works(
    server: Valkey,
    broker: Broker,
    other: OtherProcess,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as context:
        context.setattr("django_bolt.topics.brokers.redis.exchange.Exchange.publish", fail)
        with pytest.raises(BrokerUnavailable, match="no answer"):
            broker.publish(message("room:1", "lost"))
    assert "a mistake" in caplog.text
    broker.publish(message("room:1", "after"))
    assert other.data(1) == [b"after"]


def test_a_mistake_of_ours_in_an_outage_does_not_make_it_last(
    server: Valkey, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as context:
        context.setattr("django_bolt.topics.brokers.redis.exchange.Exchange.probe", fail)
        server.kill()
        assert not succeeds(lambda: broker.publish(message("room:1", "lost")))
        sender = broker._sender  # type: ignore[attr-defined]
        wait_for(lambda: sender._thread is None)
        server.start()
    wait_for(lambda: succeeds(lambda: broker.publish(message("room:1", "after"))))


def test_a_future_that_is_cancelled_at_the_last_moment_is_no_error() -> None:
    class Cancelled(Future[None]):
        def done(self) -> bool:
            is_done = super().done()
            self.cancel()
            return is_done

    entry = Entry(b"room:1", b"", Cancelled())
    entry.succeed()
    assert entry.future is not None
    assert entry.future.cancelled()
