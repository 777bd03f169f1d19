from __future__ import annotations

import pytest

from django_bolt.testing.broker_contract import BrokerContract


class TestMemoryBroker(BrokerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> str:
        return "memory://"
