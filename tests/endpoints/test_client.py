from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation

from django_bolt.auth.identity import Identity
from tests.auth.accounts import amake_user, known
from tests.memory_connection import MemoryConnection


async def test_an_unknown_client_is_djangos_anonymous_user() -> None:
    websocket = MemoryConnection()
    assert websocket.identity is None
    assert websocket.user.is_anonymous
    assert (await websocket.auser()).is_anonymous
    assert websocket.context == {}


def test_authentication_fills_the_context_and_leaves_the_rest() -> None:
    websocket = MemoryConnection()
    websocket.context["mine"] = 1
    identity = known(user_id=7, claims={"a": 1}, permissions=["x"]).identity
    assert isinstance(identity, Identity)
    websocket.identify(identity, {"a": 1})
    assert websocket.identity is identity
    assert websocket.context == {
        "mine": 1,
        "user_id": 7,
        "claims": {"a": 1},
        "permissions": frozenset({"x"}),
        "backend": "Somebody",
    }


@pytest.mark.django_db(transaction=True)
async def test_the_user_is_loaded_by_the_async_way_or_in_a_thread() -> None:
    user = await amake_user()
    websocket = known(user_id=str(user.pk))
    lazy = websocket.user
    with pytest.raises(SynchronousOnlyOperation, match=r"`user = await websocket\.auser\(\)`"):
        str(lazy)
    assert await sync_to_async(lambda: websocket.user.username)() == "ann"
    assert await websocket.auser() == websocket.user == user
    assert lazy == user
