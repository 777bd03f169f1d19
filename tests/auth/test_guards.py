from __future__ import annotations

import threading
from typing import Any, get_type_hints

import pytest

from django_bolt.auth import BaseGuard, IsStaff, IsSuperuser, never_blocks
from django_bolt.auth.guards import Both, Either, Negation, make_guard
from tests.memory_connection import MemoryConnection

asked: list[str] = []


class Says(BaseGuard):
    """Say what it is told."""

    def __init__(self, name: str, answer: bool, needs_identity: bool = False) -> None:
        self.name = name
        self.answer = answer
        self.needs_identity = needs_identity

    @never_blocks
    def has_permission(self, websocket: MemoryConnection) -> bool:
        asked.append(self.name)
        return self.answer


class Yes(BaseGuard):
    async def has_permission(self, websocket: Any) -> bool:
        return True


class No(BaseGuard):
    def has_permission(self, websocket: Any) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        return False


YES, NO = Says("yes", True), Says("no", False)
ALSO_NO = Says("known no", False, needs_identity=True)


@pytest.fixture(autouse=True)
def forget() -> None:
    asked.clear()


async def passes(guard: Any) -> bool:
    refusing = await make_guard(guard).refusing(MemoryConnection())
    assert (refusing is None) == await make_guard(guard).has_permission(MemoryConnection())  # type: ignore[misc]
    return refusing is None


def test_a_guard_must_decide() -> None:
    with pytest.raises(NotImplementedError, match="BaseGuard must define has_permission"):
        BaseGuard().has_permission(MemoryConnection())


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        (YES & YES, True),
        (YES & NO, False),
        (NO & YES, False),
        (YES | NO, True),
        (NO | YES, True),
        (NO | NO, False),
        (~NO & YES, True),
        (~(NO | YES) | NO, False),
        (YES & (NO | YES) & ~NO, True),
        (Yes & Yes, True),
        (Yes & No, False),
        (Yes | No, True),
        (No | No, False),
        (~No & Yes, True),
        (Yes & YES, True),
        (YES & No, False),
        (No | YES, True),
        (NO | Yes, True),
    ],
    ids=repr,
)
async def test_they_combine_as_instances_and_as_classes(guard: Any, expected: bool) -> None:
    assert await passes(guard) is expected


async def test_the_negation_of_a_class() -> None:
    assert await passes(~No)
    assert not await passes(~Yes)
    assert await passes(~~Yes)


async def test_what_is_decided_is_not_asked_further() -> None:
    await (YES | NO).refusing(MemoryConnection())
    await (NO & YES).refusing(MemoryConnection())
    assert asked == ["yes", "no"]


@pytest.mark.parametrize(
    ("guard", "blamed"),
    [
        (YES & NO, NO),
        (NO & ALSO_NO, NO),
        (NO | ALSO_NO, ALSO_NO),
        (NO | NO, NO),
        ((NO | ALSO_NO) & YES, ALSO_NO),
        (YES & (YES & ALSO_NO), ALSO_NO),
    ],
    ids=repr,
)
async def test_the_part_that_refuses_is_blamed(guard: BaseGuard, blamed: BaseGuard) -> None:
    assert await guard.refusing(MemoryConnection()) is blamed


async def test_a_negation_is_blamed_for_itself_and_asks_for_no_identity() -> None:
    guard = ~Says("yes", True, needs_identity=True)
    refusing = await guard.refusing(MemoryConnection())
    assert refusing is guard
    assert not guard.needs_identity


@pytest.mark.parametrize(
    ("guard", "follows"),
    [(IsStaff | NO, True), (YES & ~IsStaff(), True), (YES & ~NO, False), (~~IsSuperuser, True)],
    ids=repr,
)
def test_a_combination_follows_the_user_if_a_part_does(guard: BaseGuard, follows: bool) -> None:
    assert guard.follows_user is follows


def test_a_combination_shows_its_parts() -> None:
    assert repr(IsStaff | IsSuperuser & ~IsStaff) == "(IsStaff() | (IsSuperuser() & ~IsStaff()))"


@pytest.mark.parametrize("other", [1, None, int, "IsStaff"])
def test_only_guards_combine(other: Any) -> None:
    for left, right in ((YES, other), (other, YES), (Yes, other), (other, Yes)):
        with pytest.raises(TypeError):
            left & right
    for left, right in ((YES, other), (other, YES)):
        with pytest.raises(TypeError):
            left | right


def test_a_class_still_makes_a_union_of_types() -> None:
    def annotated(
        guard: BaseGuard | None, other: BaseGuard | None, more: BaseGuard | type[BaseGuard]
    ) -> None:
        """Have annotations."""

    hints = get_type_hints(annotated)
    assert not any(isinstance(hint, BaseGuard) for hint in hints.values())
    assert isinstance(None, hints["guard"])
    assert isinstance(YES, BaseGuard | int)


def test_a_guard_is_made_of_an_instance_or_a_class() -> None:
    assert make_guard(YES) is YES
    assert isinstance(make_guard(Yes), Yes)
    with pytest.raises(TypeError, match="int is no BaseGuard"):
        make_guard(int)


def test_kinds_of_combinations() -> None:
    assert [type(guard) for guard in (YES & NO, YES | NO, ~NO)] == [Both, Either, Negation]
