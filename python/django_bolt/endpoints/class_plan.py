"""All that is known about a class endpoint before a client comes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from django_bolt.endpoints.message_faults import ACTIONS, fault_answer
from django_bolt.endpoints.message_methods import (
    MessageCall,
    find_message_methods,
    is_websocket,
    methods_by_class,
)
from django_bolt.endpoints.message_types import FAULTS, decoder_of_messages, is_raw
from django_bolt.endpoints.parameters.signatures import (
    UnsuitableError,
    locate,
    read_signature,
    require_keyword,
)
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidHandler

__all__ = ["ClassPlan", "plan_class"]

Method = Callable[..., Coroutine[Any, Any, Any]]
DisconnectCall = Callable[[Any, WebSocket, int, str], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """How to serve connections with instances of a class.

    Attributes:
        make: Makes an instance.
        connect: `on_connect`.
        disconnect: Calls `on_disconnect`, where there is one.
        decode: Decodes a message into one of the types; what is none of them is a message too.
        methods: For the class of a message: what it calls, and whether it answers raw messages.
    """

    make: Callable[[], Any]
    connect: Method
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
    connect, disconnect = _method_of(cls, "on_connect"), _method_of(cls, "on_disconnect")
    found = find_message_methods(cls)
    if not (found or connect or disconnect):
        raise UnsuitableError(
            "a class endpoint needs methods such as on_connect(), or on_say() for a message Say"
        )
    by_class = methods_by_class(found)
    methods = dict.fromkeys(FAULTS, (fault_answer(_action_of(cls)), False))
    methods.update({kind: (method.call, is_raw(kind)) for kind, method in by_class.items()})
    return ClassPlan(
        make=cls,
        connect=connect or _no_connect,
        disconnect=_disconnect_call(disconnect) if disconnect else None,
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


def _method_of(cls: type, name: str) -> Method | None:
    function = inspect.getattr_static(cls, name, None)
    if function is None or (inspect.isfunction(function) and inspect.iscoroutinefunction(function)):
        return function
    raise InvalidHandler(f"{locate(function)}: it must be an 'async def' method that takes self")


def _disconnect_call(function: Method) -> DisconnectCall:
    """Return what calls `on_disconnect` with those of close code, reason and connection that it takes."""
    try:
        connections, names = _read_disconnect(function)
    except UnsuitableError as error:
        raise InvalidHandler(f"{locate(function)}: {error}") from None

    def call(endpoint: Any, websocket: WebSocket, code: int, reason: str) -> Coroutine[Any, Any, None]:
        known = {"code": code, "reason": reason, **dict.fromkeys(connections, websocket)}
        return function(endpoint, **{name: known[name] for name in (*names, *connections)})

    return call


def _read_disconnect(function: Method) -> tuple[list[str], list[str]]:
    """Return the names of the parameters that take the connection, and of the others."""
    arguments = read_signature(function, skip_first=True)
    for argument in arguments:
        require_keyword(argument)
    connections = [argument.name for argument in arguments if is_websocket(argument.hint)]
    names = [argument.name for argument in arguments if argument.name not in connections]
    wrong = [name for name in names if name not in ("code", "reason")] + connections[1:]
    if wrong:
        raise UnsuitableError(f"it takes code, reason and the WebSocket, or some of them; not {wrong[0]!r}")
    return connections, names


def _action_of(cls: type) -> str | None:
    action = getattr(cls, "invalid_messages", None)
    if action is None or action in ACTIONS:
        return action
    raise UnsuitableError(
        f"invalid_messages is {action!r}; it must be one of {', '.join(map(repr, ACTIONS))}"
    )
