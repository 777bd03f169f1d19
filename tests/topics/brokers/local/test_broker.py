from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.testing.broker_contract.process import OtherProcess, message
from django_bolt.topics.brokers.local.broker import LocalBroker, parse_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("local://", ("", None)),
        ("local://name", ("name", None)),
        ("local://name/", ("name", None)),
        ("local:///run/mysite", ("", Path("/run/mysite"))),
        ("local://name/run/mysite", ("name", Path("/run/mysite"))),
    ],
)
def test_url(url: str, parts: tuple[str, Path | None]) -> None:
    assert parse_url(url) == parts


@pytest.mark.parametrize("url", ["local://user@name", "local://name:1", "local://name?x=1", "local://#x"])
def test_url_with_a_mistake(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="not of the form local://"):
        parse_url(url)


def test_projects_do_not_meet(socket_directory: Path) -> None:
    url = f"local://{socket_directory}"
    with OtherProcess(url, BoltSettings()) as other:
        other.subscribe("room:1")
        with override_settings(SECRET_KEY="of another project"):
            foreign = LocalBroker(url, BoltSettings())
        own = LocalBroker(url, BoltSettings())
        foreign.publish(message("room:1", "foreign"))
        own.publish(message("room:1", "own"))
        assert other.data(1) == [b"own"]
        asyncio.run(own.stop())


def test_a_hung_process_is_told_in_the_status(socket_directory: Path) -> None:
    settings = BoltSettings(broker_queue_limit=100_000, broker_timeout=0.1)
    broker = LocalBroker(f"local://{socket_directory}", settings)
    with OtherProcess(f"local://{socket_directory}", settings) as hanging:
        hanging.hang(30)
        for _ in range(100):
            broker.publish(message("room:1", b"x" * 10_000))
        status = broker.status()
    asyncio.run(broker.stop())
    assert 0 < status.queued <= 100_000
    assert status.drops["slow_process"] > 50


def test_awaiting_a_full_queue_does_not_block_the_loop(socket_directory: Path) -> None:
    settings = BoltSettings(broker_queue_limit=50_000, broker_timeout=0.3)
    broker = LocalBroker(f"local://{socket_directory}", settings)

    async def main() -> int:
        publishing = asyncio.create_task(publish())
        turns = 0
        while not publishing.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    async def publish() -> None:
        for _ in range(60):
            await broker.apublish(message("room:1", b"x" * 10_000))

    with OtherProcess(f"local://{socket_directory}", settings) as hanging:
        hanging.hang(30)
        assert asyncio.run(main()) > 10
    asyncio.run(broker.stop())


def test_the_check_says_what_is_wrong(tmp_path: Path) -> None:
    LocalBroker(f"local://{tmp_path}", BoltSettings()).check()
    with pytest.raises(BrokerUnavailable, match="No such file"):
        LocalBroker(f"local://{tmp_path}/missing", BoltSettings()).check()
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with pytest.raises(BrokerUnavailable, match="name a shorter directory"):
        LocalBroker(f"local://{long}", BoltSettings()).check()
