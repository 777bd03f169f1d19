"""Class endpoints: one instance for each connection, one method for each type of message.

A class is read once, when it is registered, and becomes a coroutine function as any other handler. For a message there
is one decoding, one look-up by its class, and one call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.message_methods import (
    MessageCall,
    find_message_methods,
    is_websocket,
    methods_by_class,
)
from django_bolt.endpoints.message_types import decoder_of_messages, is_raw
from django_bolt.endpoints.outcome import close_of
from django_bolt.endpoints.parameters.signatures import UnsuitableError, locate, read_signature
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import InvalidHandler, InvalidMessage, UnsupportedData

__all__ = ["AdaptedClass", "adapt_class"]

ACTIONS = ("reply", "close")
"""What can be done about an invalid message."""

_Step = Callable[..., Coroutine[Any, Any, Any]]


class AdaptedClass(NamedTuple):
    """A class endpoint as a handler.

    Attributes:
        serve: Coroutine function, called with the connection and, by name, the arguments of `on_connect`.
        on_connect: The method whose signature says which arguments those are.
    """

    serve: _Step
    on_connect: _Step


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is known about a class before a client comes.

    Attributes:
        make: Makes an instance.
        connect: `on_connect`.
        disconnect: Calls `on_disconnect`, where there is one.
        decode: Decodes a message into one of the types; what is none of them is a message too.
        methods: For the class of a message: what it calls, and whether it answers raw messages.
    """

    make: Callable[[], Any]
    connect: _Step
    disconnect: _Disconnect | None
    decode: Callable[[str | bytes], Any]
    methods: Mapping[type, tuple[MessageCall, bool]]


_Disconnect = Callable[[Any, WebSocket, int, str], Coroutine[Any, Any, None]]


def adapt_class(cls: type) -> AdaptedClass:
    """Make a handler of a class.

    Raises:
        InvalidHandler: The class cannot be an endpoint; the text names the line.
    """
    try:
        plan = _plan(cls)
    except InvalidHandler:
        raise
    except (UnsuitableError, TypeError) as error:
        raise InvalidHandler(f"{locate(cls)}: {error}") from None
    return AdaptedClass(_make_serve(plan), plan.connect)


def _make_serve(plan: _Plan) -> _Step:
    connect, decode, methods = plan.connect, plan.decode, plan.methods

    # One function for the connection's life, because each frame that waits costs memory for each idle connection.
    async def serve(websocket: WebSocket, /, **arguments: Any) -> None:
        endpoint = plan.make()
        try:
            await connect(endpoint, **arguments)
            del arguments
            if not await _is_open(websocket):
                return
            async for message in websocket.iter_decoded(decode):
                call, answers_raw = methods[type(message)]
                try:
                    answer = await call(endpoint, message, websocket)
                except (InvalidMessage, UnsupportedData) as error:
                    call, answers_raw = methods.get(type(error)) or methods[InvalidMessage]
                    answer = await call(endpoint, error, websocket)
                if answer is not None:
                    await (_send_raw(websocket, answer) if answers_raw else websocket.send_json(answer))
                del message, answer  # A large one shall not stay until the next comes.
        except BaseException as error:
            if plan.disconnect is not None and websocket.was_accepted:
                await plan.disconnect(endpoint, websocket, *_ending(websocket, error))
            raise

    return serve


async def _is_open(websocket: WebSocket) -> bool:
    """Accept the connection, unless `on_connect` has, or has refused it; tell whether messages are to be received."""
    if websocket.state is WebSocketState.CONNECTING:
        await websocket.accept()
    return websocket.was_accepted


def _send_raw(websocket: WebSocket, answer: Any) -> Coroutine[Any, Any, None]:
    is_message = isinstance(answer, str | bytes | bytearray | memoryview)
    return websocket.send(answer) if is_message else websocket.send_json(answer)


def _fault_answer(action: str | None) -> MessageCall:
    """Return what is called with a message that cannot be used: it returns an answer, or raises to close."""

    async def answer(endpoint: Any, error: InvalidMessage | UnsupportedData, websocket: WebSocket) -> Any:
        if (action or bolt_settings().invalid_messages) == "reply":
            return _describe(error)
        try:
            raise error
        finally:
            del error  # Else its traceback holds this frame, which holds it, and the connection with them.

    return answer


def _describe(error: InvalidMessage | UnsupportedData) -> dict[str, Any]:
    if isinstance(error, UnsupportedData):
        return {"type": "error", "error": "unsupported_data", "detail": str(error), "path": "$"}
    described = {"type": "error", "error": "invalid_message", "detail": error.reason, "path": error.path}
    return {**described, "errors": error.errors} if len(error.errors) > 1 else described


def _ending(websocket: WebSocket, error: BaseException) -> tuple[int, str]:
    """Return the close code and reason that a connection has, or is about to have."""
    if websocket.close_code is not None:
        return websocket.close_code, websocket.close_reason
    return close_of(error)


# ── reading the class ────────────────────────────────────────────────────────────────────────────────────


def _plan(cls: type) -> _Plan:
    _require_constructible(cls)
    found = find_message_methods(cls)
    connect, disconnect = (getattr(cls, name, None) for name in ("on_connect", "on_disconnect"))
    if not (found or connect or disconnect):
        raise UnsuitableError(
            "a class endpoint needs methods such as on_connect(), or on_say() for a message Say"
        )
    by_class = methods_by_class(found)
    answer_fault = (_fault_answer(_action_of(cls)), False)
    methods = dict.fromkeys((InvalidMessage, UnsupportedData), answer_fault)
    methods.update({kind: (method.call, is_raw(kind)) for kind, method in by_class.items()})
    return _Plan(
        make=cls,
        connect=_no_connect if connect is None else _require_method(connect),
        disconnect=None if disconnect is None else _disconnecting(_require_method(disconnect)),
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


def _require_method(function: Any) -> _Step:
    if inspect.isfunction(function) and inspect.iscoroutinefunction(function):
        return function
    raise InvalidHandler(f"{locate(function)}: it must be an 'async def' method that takes self")


def _disconnecting(function: _Step) -> _Disconnect:
    """Return what calls `on_disconnect` with those of close code, reason and connection that it takes."""
    arguments = read_signature(function, skip_first=True)
    connections = [argument.name for argument in arguments if is_websocket(argument.hint)]
    names = [argument.name for argument in arguments if argument.name not in connections]
    wrong = [name for name in names if name not in ("code", "reason")] + connections[1:]
    if wrong:
        raise InvalidHandler(
            f"{locate(function)}: on_disconnect takes code, reason and the WebSocket, or some of them; not {wrong[0]!r}"
        )

    def call(endpoint: Any, websocket: WebSocket, code: int, reason: str) -> Coroutine[Any, Any, None]:
        known = {"code": code, "reason": reason, **dict.fromkeys(connections, websocket)}
        return function(endpoint, **{name: known[name] for name in (*names, *connections)})

    return call


def _action_of(cls: type) -> str | None:
    action = getattr(cls, "invalid_messages", None)
    if action is None or action in ACTIONS:
        return action
    raise UnsuitableError(
        f"invalid_messages is {action!r}; it must be one of {', '.join(map(repr, ACTIONS))}"
    )
