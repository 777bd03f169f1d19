from __future__ import annotations

from pathlib import Path

import pytest

from django_bolt.testing.broker_contract import PatternContract, SharedBrokerContract


class TestLocalBroker(SharedBrokerContract, PatternContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, socket_directory: Path) -> str:
        return f"local://{socket_directory}"
