"""Class endpoints: one instance for each connection, one method for each type of message.

A class is read once, when it is registered, and becomes a coroutine function as any other handler. For a message there
is one decoding, one look-up by its class, and one call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from django_bolt.endpoints.class_plan import ClassPlan, plan_class
from django_bolt.endpoints.outcome import close_of
from django_bolt.endpoints.websocket import WebSocket, WebSocketState
from django_bolt.exceptions import InvalidMessage, UnsupportedData

__all__ = ["AdaptedClass", "adapt_class"]

Serve = Callable[..., Coroutine[Any, Any, None]]


class AdaptedClass(NamedTuple):
    """A class endpoint as a handler.

    Attributes:
        serve: Coroutine function, called with the connection and, by name, the arguments of `on_connect`.
        on_connect: The method whose signature says which arguments those are.
    """

    serve: Serve
    on_connect: Callable[..., Any]


def adapt_class(cls: type) -> AdaptedClass:
    """Make a handler of a class.

    Raises:
        InvalidHandler: The class cannot be an endpoint; the text names the line.
    """
    plan = plan_class(cls)
    return AdaptedClass(_make_serve(plan), plan.on_connect)


def _make_serve(plan: ClassPlan) -> Serve:
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


def _ending(websocket: WebSocket, error: BaseException) -> tuple[int, str]:
    """Return the close code and reason that a connection has, or is about to have."""
    if websocket.close_code is not None:
        return websocket.close_code, websocket.close_reason
    return close_of(error)
