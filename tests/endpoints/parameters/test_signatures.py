from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from django_bolt.endpoints.parameters.signatures import (
    Argument,
    UnsuitableError,
    locate,
    read_signature,
    require_keyword,
)

if TYPE_CHECKING:
    from collections import OrderedDict


def function(a: int, b: str = "b", *, c: float | None = None) -> OrderedDict[str, int]:
    raise NotImplementedError


def bare(a, b=1):  # type: ignore[no-untyped-def]
    """Do nothing."""


class Plain:
    def __init__(self, a: int) -> None:
        """Do nothing."""

    def method(self, a: int) -> None:
        """Do nothing."""

    def __call__(self, a: int) -> None:
        """Do nothing."""


@dataclass
class Data:
    a: int


class Record(msgspec.Struct):
    a: int


class Bare:
    pass


def read(call: Callable[..., Any], **options: Any) -> list[tuple[str, Any]]:
    return [(argument.name, argument.hint) for argument in read_signature(call, **options)]


def test_names_annotations_and_defaults() -> None:
    a, b, c = read_signature(function)
    assert [(entry.name, entry.hint) for entry in (a, b, c)] == [("a", int), ("b", str), ("c", float | None)]
    assert [entry.is_required for entry in (a, b, c)] == [True, False, False]
    assert (b.default, c.default) == ("b", None)
    assert read(bare) == [("a", None), ("b", None)]


@pytest.mark.parametrize(
    "call",
    [Plain, Plain(1), Plain(1).method, Data, Record, functools.partial(function, b="x", c=1)],
    ids=["class", "object", "method", "dataclass", "struct", "partial"],
)
def test_other_callables(call: Callable[..., Any]) -> None:
    assert read(call) == [("a", int)]


def test_without_arguments() -> None:
    assert read(Bare) == []
    assert read(Bare().__init__) == [("args", None), ("kwargs", None)]  # type: ignore[misc]
    assert read(callable) == [("obj", None)]


def test_the_first_may_be_left_out() -> None:
    assert read(Plain.method, skip_first=True) == [("a", int)]


def test_a_decorator_is_seen_through() -> None:
    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    assert read(outer) == read(function)
    assert locate(outer) == locate(function)


def test_an_annotation_that_does_not_resolve_is_refused() -> None:
    def handler(a: OrderedDict[str, int]) -> None:
        """Do nothing."""

    with pytest.raises(UnsuitableError, match=r"'OrderedDict' is not defined.*importable at run time"):
        read_signature(handler)


def test_what_has_no_signature_is_refused() -> None:
    with pytest.raises(UnsuitableError, match="cannot be read"):
        read_signature(dict)


def test_positional_only_arguments_cannot_be_passed_by_name() -> None:
    def positional(a: int, /, b: int) -> None:
        """Do nothing."""

    first, second = read_signature(positional)
    require_keyword(second)
    with pytest.raises(UnsuitableError, match="'a' is positional-only"):
        require_keyword(first)
    assert isinstance(first, Argument)


def test_a_place_names_module_function_file_and_line() -> None:
    line = function.__code__.co_firstlineno
    assert locate(function) == f"{__name__}.function ({Path(__file__)}:{line})"
    assert locate(functools.partial(function, 1)) == locate(function)
    assert locate(print) == "builtins.print"


def test_what_cannot_be_called_is_named_by_its_class() -> None:
    assert locate(None) == "builtins.NoneType"  # type: ignore[arg-type]
    assert locate(Record(1)) == f"{__name__}.Record"  # type: ignore[arg-type]


def test_a_place_of_a_class_is_where_it_begins() -> None:
    line = inspect.findsource(Plain)[1] + 1
    assert locate(Plain) == f"{__name__}.Plain ({Path(__file__)}:{line})"
    assert locate(Plain(1)).startswith(f"{__name__}.Plain.__call__ (")
    assert locate(Record) == f"{__name__}.Record"
    made = type(
        "Made", (), {"method": function}
    )  # no statement of its own: the line of the method is near enough
    assert locate(made) == f"{__name__}.Made ({Path(__file__)}:{function.__code__.co_firstlineno})"
