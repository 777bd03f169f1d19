from __future__ import annotations

from typing import Any

import pytest

from django_bolt.endpoints.parameters.fields import Group, Parameter
from django_bolt.endpoints.parameters.sources import find_by
from tests.endpoints.parameters.requests import request


def parameter(name: str, *, required: bool = True, kind: Any = int) -> Parameter:
    find = find_by("query", repeated=False)
    assert find is not None
    return Parameter(name, name.upper(), "query", kind, required, find)


def read(entry: Parameter | Group, query: str) -> tuple[dict[str, Any], list[Any]]:
    arguments: dict[str, Any] = {}
    errors: list[Any] = []
    entry.read(request(query), arguments, errors)
    return arguments, errors


def make(a: int = 0, b: int = 0) -> tuple[int, int]:
    if a > b:
        raise ValueError("a is more than b")
    return a, b


def group(*, required: bool = True) -> Group:
    return Group("both", "query", make, (parameter("a"), parameter("b", required=False)), required)


def test_a_parameter_is_converted() -> None:
    assert read(parameter("a"), "A=1") == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("query", "message"), [("", "Missing"), ("a=1", "Missing"), ("A=x", "Expected `int`, got `str`")]
)
def test_a_wrong_parameter_is_named_as_in_the_request(query: str, message: str) -> None:
    assert read(parameter("a"), query) == ({}, [{"parameter": "A", "in": "query", "message": message}])


def test_an_absent_one_is_left_to_the_default() -> None:
    assert read(parameter("a", required=False), "") == ({}, [])
    assert read(parameter("a", required=False), "A=x")[1] != []


def test_a_group_is_made_of_its_members() -> None:
    assert read(group(), "A=1&B=2") == ({"both": (1, 2)}, [])
    assert read(group(required=False), "A=0") == ({"both": (0, 0)}, [])


def test_every_wrong_member_is_named() -> None:
    arguments, errors = read(group(), "B=x")
    assert arguments == {}
    assert [(error["parameter"], error["message"]) for error in errors] == [
        ("A", "Missing"),
        ("B", "Expected `int`, got `str`"),
    ]


def test_a_group_with_a_default_may_be_absent_as_a_whole_only() -> None:
    assert read(group(required=False), "") == ({}, [])
    assert [error["parameter"] for error in read(group(required=False), "B=1")[1]] == ["A"]


def test_members_that_do_not_go_together_are_an_error_of_the_group() -> None:
    error = {"parameter": "both", "in": "query", "message": "a is more than b"}
    assert read(group(), "A=2&B=1") == ({}, [error])


def test_other_errors_before_do_not_stop_a_group() -> None:
    arguments: dict[str, Any] = {}
    errors: list[Any] = [{"parameter": "x", "in": "query", "message": "Missing"}]
    group().read(request("A=1&B=2"), arguments, errors)
    assert arguments == {"both": (1, 2)}
    assert len(errors) == 1
