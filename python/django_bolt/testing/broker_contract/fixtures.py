"""What the tests of the contract begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from django_bolt.conf import BoltSettings
from django_bolt.testing.broker_contract.process import OtherProcess
from django_bolt.topics.brokers import Broker, make_broker

__all__ = ["SIZE_LIMIT", "WithBroker", "WithOtherProcess"]

SIZE_LIMIT = 65_536


class WithBroker:
    """A broker in this process.

    A subclass has a fixture ``url``. It may replace ``settings``, keeping `SIZE_LIMIT`.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> str:
        """Return the URL of the broker."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls) -> BoltSettings:
        """Return the settings of the broker in both processes."""
        return BoltSettings(max_publication_size=SIZE_LIMIT)

    @pytest.fixture
    def broker(self, url: str, settings: BoltSettings) -> Iterator[Broker]:
        """Return a broker of this process that was not started: a publisher without a loop."""
        broker = make_broker(url, settings)
        yield broker
        asyncio.run(broker.stop())


class WithOtherProcess(WithBroker):
    """Another process, too."""

    @pytest.fixture(scope="class")
    @classmethod
    def shared_process(cls, url: str, settings: BoltSettings) -> Iterator[OtherProcess]:
        """Return a process for all tests, as starting one takes time."""
        with OtherProcess(url, settings) as process:
            yield process

    @pytest.fixture
    def other(self, shared_process: OtherProcess) -> OtherProcess:
        """Return another process that has no subscriptions yet."""
        shared_process.reset()
        return shared_process
