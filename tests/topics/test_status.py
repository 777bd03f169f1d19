from __future__ import annotations

import pytest
from django.test import override_settings

from django_bolt import BrokerUnavailable, publish
from django_bolt.testing import TestClient
from django_bolt.topics import BrokerStatus, broker_status
from django_bolt.topics.hub import running_hubs


def test_a_serving_process_tells_the_status_of_its_server(client: TestClient) -> None:
    before = broker_status().subscriptions
    with client.websocket_connect("/ws/t") as session:
        assert session.receive_text() == "subscribed"
        (hub,) = running_hubs()
        assert broker_status() == hub.broker.status()
        assert broker_status().subscriptions == before + 1


@override_settings(BOLT={"BROKER": "redis://127.0.0.1:1", "BROKER_TIMEOUT": 1})
def test_a_process_without_a_server_tells_that_of_its_publishing() -> None:
    assert broker_status() == BrokerStatus()
    with pytest.raises(BrokerUnavailable):
        publish("t", "x")
    status = broker_status()
    assert (status.available, status.outages) == (False, 1)
    assert status.seconds_away > 0
