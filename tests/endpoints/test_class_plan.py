from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Sequence

import pytest

from django_bolt import BoltAPI, InvalidHandler, WebSocket
from django_bolt.endpoints.class_plan import plan_class
from tests.endpoints.chat_class import Chat, run


class Empty:
    async def connect(self) -> None: ...


class Demanding:
    def __init__(self, name: str) -> None: ...

    async def on_connect(self) -> None: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    async def on_connect(self) -> None: ...


class Sync:
    def on_connect(self, websocket: WebSocket) -> None: ...


class SyncEnd:
    def on_disconnect(self, websocket: WebSocket) -> None: ...


class Generator:
    async def on_connect(self) -> AsyncIterator[int]:
        yield 1


class OddEnd:
    async def on_disconnect(self, code: int, message: str) -> None: ...


class PositionalEnd:
    async def on_disconnect(self, code: int, /) -> None: ...


class UnresolvedEnd:
    async def on_disconnect(self, code: NotYetThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class StaticStart:
    @staticmethod
    async def on_connect(websocket: WebSocket) -> None: ...


class Undecided:
    invalid_messages = "ignore"

    async def on_connect(self) -> None: ...


class Ambiguous:
    async def on_list(self, message: list[int]) -> None: ...
    async def on_text(self, message: str) -> None: ...


@pytest.mark.parametrize(
    ("cls", "place", "text"),
    [
        (Empty, "Empty", r"needs methods such as on_connect\(\)"),
        (
            Demanding,
            "Demanding",
            "made without arguments for each connection, but missing a required argument: 'name'",
        ),
        (Abstract, "Abstract", "it is abstract"),
        (Sync, "Sync.on_connect", "a 'def' runs in a thread, where it cannot use the WebSocket"),
        (SyncEnd, "SyncEnd.on_disconnect", "a 'def' runs in a thread"),
        (Generator, "Generator.on_connect", "it must return its answer, and cannot be a generator"),
        (
            OddEnd,
            "OddEnd.on_disconnect",
            "takes code, reason and the WebSocket, or some of them; not 'message'",
        ),
        (PositionalEnd, "PositionalEnd.on_disconnect", "'code' is positional-only"),
        (UnresolvedEnd, "UnresolvedEnd.on_disconnect", "cannot be resolved"),
        (StaticStart, "StaticStart.on_connect", "it must be a method that takes self"),
        (Undecided, "Undecided", "invalid_messages is 'ignore'; it must be one of 'reply', 'close'"),
        (Ambiguous, "Ambiguous", "str takes every text message"),
    ],
)
def test_a_class_that_cannot_be_an_endpoint_is_refused_with_its_line(
    cls: type, place: str, text: str
) -> None:
    with pytest.raises(InvalidHandler, match=rf"{place} \(.*test_class_plan\.py:\d+\): .*{text}"):
        plan_class(cls)


def test_bad_parameters_of_on_connect_are_refused_with_its_line() -> None:
    class Bad:
        async def on_connect(self, room: object) -> None: ...

    with pytest.raises(
        InvalidHandler, match=r"Bad\.on_connect \(.*:\d+\): parameter 'room' has the annotation"
    ):
        BoltAPI().websocket("/")(Bad)


def decorated(names: Sequence[str]) -> type:
    return type("Made", (), dict.fromkeys(names, Chat.on_leave))


async def test_a_class_made_by_a_program_works_too() -> None:
    assert (await run(decorated(["on_leave"]), "{}")).closed == (4001, "left")
