"""Slots of a connection that are filled when first needed, so that an idle connection is small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["cached", "fill"]

T = TypeVar("T")


def cached(connection: Any, slot: str, make: Callable[[], T]) -> T:
    """Return what a slot holds, and fill it when it is empty."""
    try:
        held: T = getattr(connection, slot)
    except AttributeError:
        held = make()
        fill(connection, slot, held)
    return held


def fill(connection: Any, slot: str, value: Any) -> None:
    """Put a value into a slot."""
    # By name, because the slots are those of the concrete class: a base beside the native one must have none.
    setattr(connection, slot, value)
