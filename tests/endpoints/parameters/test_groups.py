from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, NotRequired, Required, TypedDict, TypeVar

import msgspec
import pytest

from django_bolt import Query
from django_bolt.endpoints.parameters.groups import is_group, members_of
from django_bolt.endpoints.parameters.signatures import UnsuitableError

if TYPE_CHECKING:
    from collections import OrderedDict

T = TypeVar("T")


class Struct(msgspec.Struct, rename={"c": "C"}):
    a: int
    b: Annotated[str, Query(alias="B")] = "b"
    c: list[int] = []


@dataclass
class Data:
    a: int
    b: Annotated[str, Query(alias="B")] = "b"
    c: list[int] = field(default_factory=list)
    d: int = field(default=0, init=False)


class Keys(TypedDict):
    a: int
    b: NotRequired[Annotated[str, Query(alias="B")]]
    c: NotRequired[list[int]]


class Loose(TypedDict, total=False):
    a: Required[int]
    b: Annotated[str, Query(alias="B")]
    c: list[int]


class Page(msgspec.Struct, Generic[T]):
    after: T


class Unresolved(msgspec.Struct):
    a: OrderedDict[str, int]


@pytest.mark.parametrize("kind", [Struct, Data, Keys, Loose])
def test_members(kind: Any) -> None:
    assert is_group(kind)
    members = members_of(kind)
    assert [(member.name, member.hint, member.required) for member in members] == [
        ("a", int, True),
        ("b", Annotated[str, Query(alias="B")], False),
        ("c", list[int], False),
    ]
    assert [member.key for member in members] == ["a", "b", "C" if kind is Struct else "c"]


def test_a_generic_struct_is_one() -> None:
    assert is_group(Page[int])
    assert [member.hint for member in members_of(Page[int])] == [int]


@pytest.mark.parametrize("kind", [int, str, dict, dict[str, int], list[Struct], Struct | None, Any, None])
def test_others_are_none(kind: Any) -> None:
    assert not is_group(kind)


def test_annotations_that_do_not_resolve_are_refused() -> None:
    with pytest.raises(UnsuitableError, match=r"annotations of Unresolved cannot be resolved .*OrderedDict"):
        members_of(Unresolved)
