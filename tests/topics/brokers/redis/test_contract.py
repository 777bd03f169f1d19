from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_bolt.testing.broker_contract import PatternContract, SharedBrokerContract
from tests.topics.brokers.redis.valkey import cluster, serving


class TestRedisBroker(SharedBrokerContract, PatternContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with serving() as server:
            yield f"redis://{server.address}/3"


class TestRedisCluster(SharedBrokerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with cluster() as nodes:
            yield f"redis+cluster://{','.join(node.address for node in nodes)}"


class TestRedisClusterWithoutShards(PatternContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with cluster() as nodes:
            yield f"valkey+cluster://{nodes[0].address}?sharded=no"
