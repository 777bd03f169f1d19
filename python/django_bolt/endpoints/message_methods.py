"""The methods of a class endpoint that take messages: which they are, and what each of them takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from django_bolt.endpoints.class_methods import Method, awaited, read_method
from django_bolt.endpoints.message_types import runtime_class
from django_bolt.endpoints.parameters.signatures import Argument, UnsuitableError, locate
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidHandler

__all__ = ["MessageCall", "MessageMethod", "find_message_methods", "methods_by_class"]

MessageCall = Callable[[Any, Any, WebSocket], Coroutine[Any, Any, Any]]
"""Calls a method with the endpoint's instance, a message and the connection."""

PREFIX = "on_"
LIFE = ("on_connect", "on_disconnect")
"""Methods that are called at the ends of a connection, and not with a message."""

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class MessageMethod:
    """A method that takes messages.

    Attributes:
        name: Its name.
        location: Where it is.
        types: The types of message that it takes; those of a union one by one.
        call: Calls it.
    """

    name: str
    location: str
    types: tuple[Any, ...]
    call: MessageCall


def find_message_methods(cls: type) -> tuple[MessageMethod, ...]:
    """Return the methods whose names begin with ``on_``, other than `on_connect` and `on_disconnect`.

    Raises:
        InvalidHandler: One of them cannot take a message; the text names its line.
    """
    return tuple(
        _read(name, inspect.getattr_static(cls, name)) for name in dir(cls) if _is_message_method(cls, name)
    )


def methods_by_class(methods: tuple[MessageMethod, ...]) -> Mapping[type, MessageMethod]:
    """Return which method takes the instances of a class.

    Raises:
        InvalidHandler: Two methods take the same, or a type cannot be a message.
    """
    found: dict[type, MessageMethod] = {}
    for method in methods:
        for type_ in method.types:
            try:
                kind = runtime_class(type_)
            except TypeError as error:
                raise InvalidHandler(f"{method.location}: {error}") from None
            if kind in found:
                other = found[kind]
                raise InvalidHandler(
                    f"{method.location}: {other.name} at {other.location} takes {kind.__name__} too"
                )
            found[kind] = method
    return found


def _is_message_method(cls: type, name: str) -> bool:
    # What cannot be called is an attribute of the application, such as the default of a dataclass's field.
    return name.startswith(PREFIX) and name not in LIFE and callable(getattr(cls, name))


def _read(name: str, function: Any) -> MessageMethod:
    location = locate(function)
    try:
        call = awaited(function)
        connection, messages = read_method(function)
        message = _message_of(messages)
    except UnsuitableError as error:
        raise InvalidHandler(f"{location}: {error}{_nearest(name)}") from None
    return MessageMethod(name, location, tuple(_members(message.hint)), _caller(call, connection, message))


def _message_of(arguments: list[Argument]) -> Argument:
    if len(arguments) != 1 or arguments[0].kind in _VARIABLE:
        raise UnsuitableError("a method for messages takes one message and, if it likes, the WebSocket")
    if arguments[0].hint in (None, Any):
        raise UnsuitableError(
            f"annotate {arguments[0].name!r} with the type of message that the method takes"
        )
    return arguments[0]


def _members(hint: Any) -> Iterator[Any]:
    """Take unions apart."""
    while hasattr(hint, "__value__"):  # `type Command = Say | Leave`
        hint = hint.__value__
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        for argument in arguments:
            yield from _members(argument)
    elif origin is Annotated and get_origin(arguments[0]) in (Union, UnionType):
        yield from _members(arguments[0])
    else:
        yield hint


def _caller(method: Method, connection: Argument | None, message: Argument) -> MessageCall:
    name = message.name
    if connection is not None:
        keyword = connection.name
        return lambda endpoint, message, websocket: method(endpoint, **{name: message, keyword: websocket})
    if message.kind is inspect.Parameter.KEYWORD_ONLY:
        return lambda endpoint, message, websocket: method(endpoint, **{name: message})
    return lambda endpoint, message, websocket: method(endpoint, message)


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, LIFE, n=1, cutoff=0.8)
    return f"; did you mean {close[0]!r}?" if close else ""
