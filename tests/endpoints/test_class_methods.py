from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from django_bolt import WebSocket
from django_bolt.endpoints.class_methods import awaited, read_method, runs_in_thread
from django_bolt.endpoints.parameters.signatures import UnsuitableError


def plainly(function: Any) -> Any:
    """Wrap in a plain function that returns what the other does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Methods:
    async def coroutine(self, one: int) -> tuple[int, int]:
        return one, threading.get_ident()

    def plain(self, one: int) -> tuple[int, int]:
        return one, threading.get_ident()

    wrapped = plainly(coroutine)
    wrapped_plain = plainly(plain)

    @staticmethod
    def static(one: int) -> None: ...

    @classmethod
    def of_class(cls, one: int) -> None: ...

    def generator(self) -> Iterator[int]:
        yield 1

    async def asynchronous_generator(self) -> AsyncIterator[int]:
        yield 1

    wrapped_generator = plainly(generator)

    async def connected(self, one: int, websocket: WebSocket, *, two: str) -> None: ...

    async def twice(self, one: WebSocket, two: WebSocket) -> None: ...

    def threaded(self, websocket: WebSocket) -> None: ...

    async def positional(self, one: int, /) -> None: ...

    async def unresolved(self, one: NotYetThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("name", "is_threaded"),
    [("coroutine", False), ("wrapped", False), ("plain", True), ("wrapped_plain", True)],
)
async def test_a_plain_method_runs_in_a_thread(name: str, is_threaded: bool) -> None:
    function = vars(Methods)[name]
    assert runs_in_thread(function) is is_threaded
    one, thread = await awaited(function)(Methods(), one=1)
    assert one == 1
    assert (thread != threading.get_ident()) is is_threaded


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("static", "takes self"),
        ("of_class", "takes self"),
        ("generator", "cannot be a generator"),
        ("asynchronous_generator", "cannot be a generator"),
        ("wrapped_generator", "cannot be a generator"),
    ],
)
def test_what_cannot_be_awaited_is_refused(name: str, text: str) -> None:
    with pytest.raises(UnsuitableError, match=text):
        awaited(vars(Methods)[name])


def test_the_connection_is_told_from_the_other_parameters() -> None:
    connection, others = read_method(Methods.connected)
    assert connection is not None
    assert connection.name == "websocket"
    assert [argument.name for argument in others] == ["one", "two"]
    assert read_method(Methods.coroutine)[0] is None


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (Methods.twice, "more than one parameter is annotated WebSocket: 'two'"),
        (Methods.threaded, "a 'def' runs in a thread, where it cannot use the WebSocket; write 'async def'"),
        (Methods.positional, "'one' is positional-only"),
        (Methods.unresolved, "cannot be resolved .*NotYetThere"),
    ],
)
def test_a_signature_that_cannot_be_filled_is_refused(function: Any, text: str) -> None:
    with pytest.raises(UnsuitableError, match=text):
        read_method(function)
