from __future__ import annotations

import pytest

from django_bolt.auth import AllowAny, BaseGuard, IsAuthenticated
from tests.memory_connection import MemoryConnection


def test_allow_any_lets_everybody_through() -> None:
    assert AllowAny().has_permission(MemoryConnection())


@pytest.mark.parametrize(
    ("context", "allowed"),
    [({}, False), ({"user_id": None}, False), ({"user_id": 0}, True), ({"user_id": "a"}, True)],
)
def test_is_authenticated_asks_for_a_user(context: dict[str, object], allowed: bool) -> None:
    websocket = MemoryConnection()
    websocket.context.update(context)
    assert IsAuthenticated().has_permission(websocket) is allowed


def test_a_guard_must_decide() -> None:
    with pytest.raises(NotImplementedError, match="BaseGuard must define has_permission"):
        BaseGuard().has_permission(MemoryConnection())
