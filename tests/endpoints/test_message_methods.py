from __future__ import annotations

import functools
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from typing_extensions import TypeAliasType

from django_bolt import InvalidHandler, WebSocket
from django_bolt.endpoints.message_methods import find_message_methods, methods_by_class
from tests.memory_connection import MemoryConnection


class Say(msgspec.Struct, tag="say"):
    text: str


class Leave(msgspec.Struct, tag="leave"):
    """Say goodbye."""


class Shout(msgspec.Struct, tag="shout"):
    """Say it louder."""


class Named(TypedDict):
    name: str


Command = TypeAliasType("Command", Leave | Shout)


class Base:
    on_air: bool = True

    async def on_connect(self, room: str) -> None:
        """Take no message."""

    async def on_disconnect(self, code: int) -> None:
        """Take none either."""

    async def on_say(self, message: Say) -> str:
        return f"base {message.text}"

    async def say(self, message: Leave) -> None:
        """Stay out of reach of the client."""

    async def _on_hidden(self, message: Leave) -> None:
        """Stay out of reach of the client."""


class Chat(Base):
    async def on_say(self, message: Say) -> str:
        return f"{self!r} {message.text}"

    async def on_command(self, websocket: WebSocket, command: Command) -> Any:
        return websocket, command

    async def on_raw(self, data: Annotated[str | bytes, "raw"], *, connection: WebSocket) -> Any:
        return data, connection

    async def on_keyword(self, *, message: dict[str, Any]) -> Any:
        return message

    def __repr__(self) -> str:
        return "chat"


def test_methods_are_found_by_their_names_inherited_ones_too() -> None:
    assert [method.name for method in find_message_methods(Base)] == ["on_say"]
    assert [(method.name, method.types) for method in find_message_methods(Chat)] == [
        ("on_command", (Leave, Shout)),
        ("on_keyword", (dict[str, Any],)),
        ("on_raw", (str, bytes)),
        ("on_say", (Say,)),
    ]


def test_the_method_of_a_message_is_found_by_its_class() -> None:
    found = {kind: method.name for kind, method in methods_by_class(find_message_methods(Chat)).items()}
    assert found == {
        Leave: "on_command",
        Shout: "on_command",
        dict: "on_keyword",
        str: "on_raw",
        bytes: "on_raw",
        Say: "on_say",
    }


async def test_a_method_is_called_with_what_it_takes() -> None:
    methods = {method.name: method.call for method in find_message_methods(Chat)}
    websocket, chat, leave = MemoryConnection(), Chat(), Leave()
    assert await methods["on_say"](chat, Say("hi"), websocket) == "chat hi"
    assert await methods["on_command"](chat, leave, websocket) == (websocket, leave)
    assert await methods["on_raw"](chat, "hi", websocket) == ("hi", websocket)
    assert await methods["on_keyword"](chat, {}, websocket) == {}


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return "wrapped", await function(*args, **kwargs)

    return wrapper


async def test_a_method_may_be_wrapped_by_a_decorator() -> None:
    class Wrapped:
        @wrapped
        async def on_say(self, message: Say) -> str:
            return message.text

    [method] = find_message_methods(Wrapped)
    assert method.types == (Say,)
    assert await method.call(Wrapped(), Say("hi"), MemoryConnection()) == ("wrapped", "hi")


class Static:
    @staticmethod
    async def on_say(message: Say) -> None: ...


class OfClass:
    @classmethod
    async def on_say(cls, message: Say) -> None: ...


class Partial:
    on_say = functools.partial(print)


class Nothing:
    async def on_say(self) -> None: ...


class Two:
    async def on_say(self, message: Say, room: str) -> None: ...


class Connections:
    async def on_say(self, message: Say, one: WebSocket, other: WebSocket) -> None: ...


class Rest:
    async def on_say(self, *messages: Say) -> None: ...


class Keywords:
    async def on_say(self, message: Say, **more: Any) -> None: ...


class Bare:
    async def on_say(self, message) -> None: ...  # type: ignore[no-untyped-def]


class Anything:
    async def on_say(self, message: Any) -> None: ...


class Unresolved:
    async def on_say(self, message: NotYetThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Misspelt:
    async def on_conect(self, websocket: WebSocket) -> None: ...


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Static, "it must be a method that takes self"),
        (OfClass, "it must be a method that takes self"),
        (Nothing, "takes one message and, if it likes, the WebSocket"),
        (Two, "takes one message"),
        (Connections, "more than one parameter is annotated WebSocket: 'other'"),
        (Rest, "takes one message"),
        (Keywords, "takes one message"),
        (Bare, "annotate 'message' with the type of message"),
        (Anything, "annotate 'message'"),
        (Unresolved, "cannot be resolved .*NotYetThere"),
        (Misspelt, "takes one message .*; did you mean 'on_connect'"),
    ],
)
def test_a_method_that_cannot_take_a_message_is_refused_with_its_line(cls: type, text: str) -> None:
    with pytest.raises(
        InvalidHandler, match=rf"{cls.__name__}\.on_\w+ \(.*{__name__.rpartition('.')[2]}\.py:\d+\): .*{text}"
    ):
        find_message_methods(cls)


def test_what_can_be_called_but_is_no_method_is_refused() -> None:
    with pytest.raises(InvalidHandler, match="it must be a method that takes self"):
        find_message_methods(Partial)


class TwoForOne(Base):
    async def on_speech(self, message: Say) -> None: ...


class Objects:
    async def on_named(self, message: Named) -> None: ...
    async def on_object(self, message: dict[str, Any]) -> None: ...


class Number:
    async def on_number(self, message: int) -> None: ...


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (TwoForOne, r"TwoForOne\.on_speech \(.*\): on_say at .*Base\.on_say \(.*\) takes Say too"),
        (Objects, r"Objects\.on_object \(.*\): on_named at .* takes dict too"),
        (Number, r"Number\.on_number \(.*\): messages cannot be of type int; a method takes"),
    ],
)
def test_each_message_has_one_method(cls: type, text: str) -> None:
    with pytest.raises(InvalidHandler, match=text):
        methods_by_class(find_message_methods(cls))
