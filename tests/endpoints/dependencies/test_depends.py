from __future__ import annotations

from typing import Any

import pytest

from django_bolt import Depends, InvalidHandler
from django_bolt.endpoints.dependencies.depends import Dependency, check_dependencies


def get_value() -> int:
    return 5


def test_the_mark_keeps_what_it_was_given() -> None:
    mark: Any = Depends(get_value, use_cache=False)
    assert isinstance(mark, Dependency)
    assert (mark.call, mark.use_cache) == (get_value, False)
    bare = Depends()
    assert (bare.call, bare.use_cache) == (None, True)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(
        InvalidHandler, match=r"not int; write Depends\(function\), not Depends\(function\(\)\)"
    ):
        Depends(get_value())  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("entry", "name"), [(get_value, "get_value"), (5, "int"), (Depends(), r"Depends\(\)"), (int, "int")]
)
def test_a_list_of_dependencies_takes_nothing_else(entry: Any, name: str) -> None:
    mark: Any = Depends(get_value)
    assert check_dependencies([mark, mark]) == (mark, mark)
    with pytest.raises(InvalidHandler, match=rf"dependencies take Depends\(function\), not {name}"):
        check_dependencies([mark, entry])


@pytest.mark.parametrize("entry", [Depends(get_value), get_value, 5])
def test_a_single_dependency_is_not_a_list(entry: Any) -> None:
    with pytest.raises(InvalidHandler, match=r"dependencies take a list, \[Depends\(function\)\], not "):
        check_dependencies(entry)
