"""What runs beside the handlers of a test client begins and ends with it."""

from __future__ import annotations

import pytest

from django_bolt import BoltAPI, WebSocket, apublish, publish
from django_bolt.conf import bolt_settings
from django_bolt.testing.serving import Serving
from django_bolt.topics.hub import running_hubs
from tests.testing.sample_api import api
from tests.testing.twins import open_twin


async def test_what_the_test_publishes_reaches_subscribers(kind: str) -> None:
    topical = BoltAPI()

    @topical.websocket("/room")
    async def room(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.subscribe("room")
        await websocket.receive()

    async with open_twin(kind, topical) as client:
        ws = await client.connect("/room")
        await ws.ping()  # its handler has subscribed it
        assert (await apublish("room", "from the test")).receivers == 1
        assert await ws.receive_text() == "from the test"
        publish("room", "from the blocking twin")
        assert await ws.receive_text() == "from the blocking twin"


async def test_hub_and_reactor_end_with_the_client(kind: str) -> None:
    before = running_hubs()
    async with open_twin(kind, api) as client:
        assert len(running_hubs()) == len(before) + 1
        ws = await client.connect("/echo")
    assert running_hubs() == before
    assert ws.close_code == 1006


async def test_what_cannot_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before, serving = running_hubs(), Serving([api])

    def fail(*arguments: object, **options: object) -> None:
        raise LookupError(f"no reactor with {bolt_settings().max_connections}")

    monkeypatch.setattr("django_bolt.testing.serving.make_reactor", fail)
    with pytest.raises(LookupError, match="no reactor"):
        await serving.start()
    assert running_hubs() == before
