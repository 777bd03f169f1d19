from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest

from django_bolt import Depends, InvalidParameters, WebSocket
from django_bolt.endpoints.parameters import CallPlan, ParameterPlan, plan_parameters
from tests.endpoints.parameters.requests import request


async def get_size(size: int) -> int:
    return size


async def get_page(page: int, size: Annotated[int, Depends(get_size)]) -> int:
    return page * size


async def opened() -> AsyncIterator[None]:
    yield


async def handler(websocket: WebSocket, size: int, page: Annotated[int, Depends(get_page)]) -> None:
    """Do nothing."""


def test_parameters_of_dependencies_and_handler_are_gathered_at_once() -> None:
    plan = plan_parameters(handler, ())
    assert plan.gather(request("size=2&page=3")) == [{"size": 2}, {"page": 3}, {"size": 2}]


def test_each_wrong_parameter_is_named_once() -> None:
    with pytest.raises(InvalidParameters) as caught:
        plan_parameters(handler, ()).gather(request("size=x"))
    assert caught.value.errors == [
        {"parameter": "size", "in": "query", "message": "Expected `int`, got `str`"},
        {"parameter": "page", "in": "query", "message": "Missing"},
    ]


def test_results_of_dependencies_are_filled_in() -> None:
    arguments: dict[str, Any] = {"size": 2}
    CallPlan(needs=(("page", 1), ("again", 1))).fill(arguments, ["size", "page"])
    assert arguments == {"size": 2, "page": "page", "again": "page"}


def test_path_parameters_that_nobody_names() -> None:
    assert CallPlan(extra=("b",)).read(request(path={"a": "1", "b": "2"}), []) == {"b": "2"}


def test_a_plan_knows_whether_something_is_left_to_do_at_the_end() -> None:
    async def holding(websocket: WebSocket, it: Annotated[None, Depends(opened)]) -> None:
        """Do nothing."""

    assert plan_parameters(holding, ()).has_cleanup
    assert not plan_parameters(handler, ()).has_cleanup
    assert not ParameterPlan(CallPlan()).has_cleanup
