from __future__ import annotations

from typing import Any

import msgspec
import pytest

from django_bolt import Cookie, Header, Path, Query
from django_bolt.endpoints.parameters.sources import ABSENT, Source, SourceName, find_by
from tests.endpoints.parameters.requests import request


@pytest.mark.parametrize("mark", [Path, Query, Cookie])
def test_the_name_in_the_request_is_that_of_the_parameter_or_the_alias(mark: type[Source]) -> None:
    assert mark().key_of("room_id") == "room_id"
    assert mark(alias="Room-Id").key_of("room_id") == "Room-Id"


def test_a_header_field_has_hyphens_unless_said_otherwise() -> None:
    assert Header().key_of("X_Request_id") == "x-request-id"
    assert Header(convert_underscores=False).key_of("x_token") == "x_token"
    assert Header(alias="X_Token").key_of("x") == "x_token"


def test_constraints_are_those_of_msgspec() -> None:
    mark = Query(gt=0, lt=10, multiple_of=2, description="Even.")
    assert mark.meta() == msgspec.Meta(gt=0, lt=10, multiple_of=2, description="Even.")
    assert Query(ge=0, le=9).meta() == msgspec.Meta(ge=0, le=9)
    text = Query(min_length=1, max_length=2, pattern="a")
    assert text.meta() == msgspec.Meta(min_length=1, max_length=2, pattern="a")
    assert Query(alias="x").meta() is None


def test_constraints_that_contradict_are_refused() -> None:
    with pytest.raises(ValueError, match="Cannot specify both"):
        Query(gt=1, ge=1).meta()


@pytest.mark.parametrize(
    ("source", "repeated", "key", "found"),
    [
        ("path", False, "room", "5"),
        ("query", False, "a", "2"),
        ("query", False, "empty", ""),
        ("query", True, "a", ["1", "2"]),
        ("query", True, "b", ABSENT),
        ("query", False, "b", ABSENT),
        ("header", False, "x-a", "1, 2"),
        ("header", True, "x-a", ["1", "2"]),
        ("header", False, "x-b", ABSENT),
        ("header", True, "x-b", ABSENT),
        ("cookie", False, "c", "3"),
        ("cookie", False, "d", ABSENT),
    ],
)
def test_looking_up(source: SourceName, repeated: bool, key: str, found: Any) -> None:
    headers = (("x-a", "1"), ("x-a", "2"), ("cookie", "c=3"))
    find = find_by(source, repeated=repeated)
    assert find is not None
    assert find(request("a=1&a=2&empty=", headers=headers, path={"room": "5"}), key) == found


@pytest.mark.parametrize("source", ["path", "cookie"])
def test_some_sources_have_no_lists(source: SourceName) -> None:
    assert find_by(source, repeated=True) is None
