"""Opening handshakes for the tests of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from django_bolt import InvalidHandler, InvalidParameters, WebSocket
from django_bolt.endpoints.parameters import locate, plan_parameters
from tests.memory_connection import MemoryConnection


def with_annotation(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    """Make a handler with one parameter ``value``."""

    async def handler(websocket: WebSocket, value: Any) -> None:
        """Do nothing."""

    handler.__annotations__["value"] = annotation
    if default is not ...:
        handler.__defaults__ = (default,)
    return handler


def request(
    query: str = "",
    *,
    headers: tuple[tuple[str, str], ...] = (),
    path: Mapping[str, str] | None = None,
) -> MemoryConnection:
    """Make a connection with parameters."""
    websocket = MemoryConnection(f"/?{query}", headers)
    websocket.path_params.update(path or {})
    return websocket


def convert(handler: Callable[..., Any], query: str = "", **options: Any) -> dict[str, Any]:
    """Return the arguments of a handler; the options are those of `request`."""
    websocket = request(query, **options)
    return plan_parameters(handler, tuple(websocket.path_params)).gather(websocket)[-1]


def errors_of(handler: Callable[..., Any], query: str = "", **options: Any) -> list[Any]:
    """Return what is wrong with a request."""
    with pytest.raises(InvalidParameters) as caught:
        convert(handler, query, **options)
    return caught.value.errors


def refusal_of(handler: Callable[..., Any], *path_names: str) -> str:
    """Return why a signature is refused; the text must say where it is."""
    with pytest.raises(InvalidHandler) as caught:
        plan_parameters(handler, path_names)
    assert locate(handler) in str(caught.value)
    return str(caught.value)
