from __future__ import annotations

from typing import Any

import pytest

from django_bolt.auth import AllowAny, IsAuthenticated, Requires
from tests.auth.accounts import known
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


@pytest.mark.parametrize(
    ("claimed", "wanted", "allowed"),
    [
        ("editor", ["editor"], True),
        ("editor", ["admin", "editor"], True),
        ("editor", ["admin"], False),
        (["reader", "editor"], ["editor"], True),
        (["reader"], ["editor"], False),
        ([], ["editor"], False),
        (None, ["editor"], False),
        (None, [None], True),
        ("edit", ["editor"], False),
        (True, [True], True),
        (1, [True], False),
        (True, [1], False),
        (1, ["1"], False),
        ({"a": 1}, [{"a": 1}], True),
        ([["a"]], [["a"]], True),
    ],
)
def test_requires_asks_for_a_claim_with_one_of_the_values(
    claimed: Any, wanted: list[Any], allowed: bool
) -> None:
    websocket = known(user_id=1, claims={"role": claimed})
    assert Requires("role", *wanted).has_permission(websocket) is allowed


def test_requires_refuses_who_claims_nothing() -> None:
    assert not Requires("role", "editor").has_permission(known(user_id=1))
    assert not Requires("role", "editor").has_permission(known())


@pytest.mark.parametrize("arguments", [["role"], [1, 2]])
def test_requires_needs_a_name_and_a_value(arguments: Any) -> None:
    with pytest.raises(TypeError, match=r'Requires\("role", "editor"\)'):
        Requires(*arguments)


def test_they_show_what_they_ask_for() -> None:
    assert repr(Requires("role", "editor", 1)) == "Requires('role', 'editor', 1)"
    assert repr(IsAuthenticated()) == "IsAuthenticated()"
