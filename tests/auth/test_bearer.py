from __future__ import annotations

import pytest

from django_bolt.auth.bearer import find_fallback, find_token, is_token_entry, split_offer


def test_an_offer_is_split_at_its_commas() -> None:
    assert split_offer(" a , b,,c ") == ["a", "b", "c"]
    assert split_offer("") == []


@pytest.mark.parametrize(
    ("entry", "is_token"),
    [("bearer.a.b.c", True), ("Bearer.x", True), ("bearer.", True), ("bearer", False), ("x.bearer.y", False)],
)
def test_an_entry_with_the_prefix_is_a_token(entry: str, is_token: bool) -> None:
    assert is_token_entry(entry) is is_token


def test_the_first_token_counts() -> None:
    assert find_token(["chat", "bearer.a.b.c", "bearer.d"]) == "a.b.c"
    assert find_token(["chat"]) is None


@pytest.mark.parametrize(
    ("offered", "fallback"),
    [(["bolt", "bearer.x"], "bolt"), (["bearer.x"], None), (["bolt"], None), (["chat", "bearer.x"], None)],
)
def test_the_fallback_is_for_clients_that_offer_it_beside_a_token(
    offered: list[str], fallback: str | None
) -> None:
    assert find_fallback(offered) == fallback
