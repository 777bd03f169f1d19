from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, Depends, InvalidHandler, WebSocket
from django_bolt.endpoints.endpoint import Endpoint


def get_value(page: int = 1) -> int:
    return page


def endpoint_of(api: BoltAPI, **options: Any) -> Endpoint:
    @api.websocket("/room", **options)
    async def room(websocket: WebSocket, value: int = Depends(get_value)) -> None:
        """Do nothing."""

    return api.endpoints[0]


def test_the_plan_is_the_one_of_the_registration() -> None:
    endpoint = endpoint_of(BoltAPI())
    assert endpoint.plan() is endpoint.parameters


def test_overrides_make_another_plan() -> None:
    def fake(size: int) -> int:
        return size

    def wrong(*sizes: int) -> int:
        return 1

    api = BoltAPI()
    endpoint = endpoint_of(api)
    api.dependency_overrides[get_value] = fake
    assert [dependency.call for dependency in endpoint.plan().dependencies] == [fake]
    api.dependency_overrides[get_value] = wrong
    with pytest.raises(InvalidHandler, match=r"wrong .*\*sizes cannot be filled"):
        endpoint.plan()
    api.dependency_overrides.clear()
    assert endpoint.plan() is endpoint.parameters


def test_compression_is_that_of_the_endpoint_or_of_the_settings() -> None:
    assert endpoint_of(BoltAPI(), compression=False).wished_compression() is None
    inherits, own = endpoint_of(BoltAPI()), endpoint_of(BoltAPI(), compression={"level": 1})
    assert inherits.wished_compression() is not None
    with override_settings(BOLT={"COMPRESSION": False}):
        assert inherits.wished_compression() is None
        chosen = own.wished_compression()
        assert chosen is not None
        assert chosen.level == 1


def test_the_path_is_the_one_declared() -> None:
    assert endpoint_of(BoltAPI(prefix="/chat")).path == "/chat/room"
