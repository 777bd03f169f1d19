"""All that is known about a class endpoint before a client comes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from django_bolt.endpoints.class_methods import Method, awaited, read_method, runs_in_thread
from django_bolt.endpoints.message_faults import ACTIONS, fault_answer
from django_bolt.endpoints.message_methods import MessageCall, find_message_methods, methods_by_class
from django_bolt.endpoints.message_types import FAULTS, decoder_of_messages, is_raw
from django_bolt.endpoints.parameters.signatures import UnsuitableError, locate
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidHandler

__all__ = ["ClassPlan", "plan_class"]

DisconnectCall = Callable[[Any, WebSocket, int, str], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """How to serve connections with instances of a class.

    Attributes:
        make: Makes an instance.
        connect: Calls `on_connect`.
        on_connect: The method itself, whose signature says what it takes.
        disconnect: Calls `on_disconnect`, where there is one.
        decode: Decodes a message into one of the types; what is none of them is a message too.
        methods: For the class of a message: what it calls, and whether it answers raw messages.
    """

    make: Callable[[], Any]
    connect: Method
    on_connect: Callable[..., Any]
    disconnect: DisconnectCall | None
    decode: Callable[[str | bytes], Any]
    methods: Mapping[type, tuple[MessageCall, bool]]


def plan_class(cls: type) -> ClassPlan:
    """Read a class.

    Raises:
        InvalidHandler: It cannot be an endpoint; the text names the line.
    """
    try:
        return _plan(cls)
    except InvalidHandler:
        raise
    except (UnsuitableError, TypeError) as error:
        raise InvalidHandler(f"{locate(cls)}: {error}") from None


def _plan(cls: type) -> ClassPlan:
    _require_constructible(cls)
    found, connect, disconnect = find_message_methods(cls), _connect_of(cls), _disconnect_of(cls)
    if not (found or connect or disconnect):
        raise UnsuitableError(
            "a class endpoint needs methods such as on_connect(), or on_say() for a message Say"
        )
    by_class = methods_by_class(found)
    methods = dict.fromkeys(FAULTS, (fault_answer(_action_of(cls)), False))
    methods.update({kind: (method.call, is_raw(kind)) for kind, method in by_class.items()})
    return ClassPlan(
        make=cls,
        connect=connect[0] if connect else _no_connect,
        on_connect=connect[1] if connect else _no_connect,
        disconnect=disconnect,
        decode=decoder_of_messages([type_ for method in found for type_ in method.types]),
        methods=methods,
    )


async def _no_connect(self: Any, **path_params: str) -> None:
    """Stand for the `on_connect` of a class that has none; its methods find the parameters at the connection."""


def _require_constructible(cls: type) -> None:
    if inspect.isabstract(cls):
        raise UnsuitableError("it is abstract, and an instance is made for each connection")
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise UnsuitableError(f"it is made without arguments for each connection, but {error}") from None
    except ValueError:
        pass  # A built-in constructor that has no signature; without arguments of its own, it takes none.


def _connect_of(cls: type) -> tuple[Method, Callable[..., Any]] | None:
    """Return what calls `on_connect`, and the method itself."""
    function = inspect.getattr_static(cls, "on_connect", None)
    if function is None:
        return None
    try:
        if runs_in_thread(function):
            read_method(function)
        return awaited(function), function
    except UnsuitableError as error:
        raise InvalidHandler(f"{locate(function)}: {error}") from None


def _disconnect_of(cls: type) -> DisconnectCall | None:
    """Return what calls `on_disconnect` with those of close code, reason and connection that it takes."""
    function = inspect.getattr_static(cls, "on_disconnect", None)
    if function is None:
        return None
    try:
        method = awaited(function)
        connection, others = read_method(function)
        wrong = [argument.name for argument in others if argument.name not in ("code", "reason")]
        if wrong:
            raise UnsuitableError(
                f"it takes code, reason and the WebSocket, or some of them; not {wrong[0]!r}"
            )
    except UnsuitableError as error:
        raise InvalidHandler(f"{locate(function)}: {error}") from None
    names = [argument.name for argument in others]

    def call(endpoint: Any, websocket: WebSocket, code: int, reason: str) -> Coroutine[Any, Any, None]:
        known = {"code": code, "reason": reason}
        named: dict[str, Any] = {name: known[name] for name in names}
        if connection is not None:
            named[connection.name] = websocket
        return method(endpoint, **named)

    return call


def _action_of(cls: type) -> str | None:
    action = getattr(cls, "invalid_messages", None)
    if action is None or action in ACTIONS:
        return action
    raise UnsuitableError(
        f"invalid_messages is {action!r}; it must be one of {', '.join(map(repr, ACTIONS))}"
    )
