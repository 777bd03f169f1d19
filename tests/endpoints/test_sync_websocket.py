"""What is particular to the object of ``def`` handlers; that it does all else as `WebSocket` does is shown by the
conformance tests, which run on handlers of both kinds."""

from __future__ import annotations

import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import Any

import msgspec
import pytest

from django_bolt import (
    BoltAPI,
    InvalidMessage,
    InvalidTopic,
    SyncWebSocket,
    WebSocket,
    WebSocketDisconnect,
    WebSocketState,
    WrongState,
    _core,
    publish,
)
from django_bolt.testing import TestClient, WebSocketTestSession

Handle = Callable[[SyncWebSocket], object]
Open = Callable[[Handle], WebSocketTestSession]

# What engines, dispatcher and server use and no handler calls; and `auser`, which is `user` here.
INTERNAL = {
    "CACHE_SLOTS",
    "accept_handshake",
    "attach_task",
    "auser",  # without blocking, which `user` does here
    "bind",
    "detach_task",
    "fail",
    "identify",
    "hub",
    "iter_decoded",
    "receive_decoded",
    "reject_handshake",
    "release_request",
    "subscribe_user",
}


@pytest.fixture
def open_session() -> Iterator[Open]:
    """Return a function that serves a handler and connects to it; the handler must accept."""
    handlers: list[Handle] = []
    api = BoltAPI()

    @api.websocket("/{number}")
    def handle(websocket: SyncWebSocket, number: int) -> None:
        handlers[number](websocket)

    with TestClient(api) as client:

        def open_session(handler: Handle) -> WebSocketTestSession:
            handlers.append(handler)
            return client.websocket_connect(f"/{len(handlers) - 1}")

        yield open_session


def test_it_has_every_public_name_of_websocket() -> None:
    names = {name for name in dir(WebSocket) if not name.startswith("_")}
    assert names - INTERNAL <= set(dir(SyncWebSocket))
    assert all(hasattr(WebSocket, name) for name in INTERNAL)


def test_no_method_is_a_coroutine_function() -> None:
    for name, member in inspect.getmembers(SyncWebSocket, inspect.isfunction):
        assert name.startswith("_") or not inspect.iscoroutinefunction(member), name


@pytest.mark.parametrize(
    "name", ["accept", "reject", "close", "send", "send_text", "send_bytes", "send_json", "send_encoded"]
)
def test_methods_take_what_those_of_websocket_take(name: str) -> None:
    def parameters(kind: type) -> list[tuple[str, Any]]:
        signature = inspect.signature(getattr(kind, name))
        return [(parameter.name, parameter.default) for parameter in signature.parameters.values()]

    assert parameters(SyncWebSocket) == parameters(WebSocket)


def test_states(open_session: Open) -> None:
    states: list[WebSocketState] = []
    ended = threading.Event()

    def handle(websocket: SyncWebSocket) -> None:
        states.append(websocket.state)
        websocket.accept()
        states.append(websocket.state)
        websocket.close(4002, "enough")
        states.append(websocket.state)
        for operation in (websocket.receive, lambda: websocket.send_text("late")):
            with pytest.raises(WebSocketDisconnect) as raised:
                operation()
            assert (raised.value.code, raised.value.reason) == (4002, "enough")
        ended.set()

    session = open_session(handle)
    assert session.wait_closed() == 4002
    assert ended.wait(5)
    assert states == [WebSocketState.CONNECTING, WebSocketState.CONNECTED, WebSocketState.DISCONNECTED]


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_timeout_loses_no_message_whatever_is_asked_for_next(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        for receive in (websocket.receive, websocket.receive_text, websocket.receive_bytes):
            with pytest.raises(TimeoutError, match=r"No message came within 0\.01 s"):
                receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            websocket.receive_json(timeout=0)
        websocket.send_text("timed out")
        websocket.send_json([websocket.receive_text(timeout=5), websocket.receive_json()])

    session = open_session(handle)
    assert session.receive_text() == "timed out"
    session.send_text("one")
    session.send_json({"two": 2})
    assert session.receive_json() == ["one", {"two": 2}]


def test_a_handler_may_return_with_a_receive_that_timed_out(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        with pytest.raises(TimeoutError):
            websocket.receive(timeout=0.001)

    assert open_session(handle).wait_closed() == 1000


def test_a_second_receive_at_once_is_refused(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        received: queue.SimpleQueue[object] = queue.SimpleQueue()
        other = threading.Thread(target=lambda: received.put(websocket.receive()))
        other.start()
        while not websocket._receiving.locked():
            time.sleep(0)
        with pytest.raises(RuntimeError, match="Another receive"):
            websocket.receive()
        websocket.send_text("ready")
        websocket.send_text(f"other got {received.get(timeout=5)}")
        other.join(5)

    session = open_session(handle)
    assert session.receive_text() == "ready"
    session.send_text("it")
    assert session.receive_text() == "other got it"


class Order(msgspec.Struct):
    """A message with a type."""

    item: str


def test_a_loop_over_messages_goes_on_after_one_that_is_invalid(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        orders = websocket.iter_json(type=Order)
        with pytest.raises(InvalidMessage):
            next(orders)
        websocket.send_text(next(orders).item)

    session = open_session(handle)
    session.send_text("{}")
    session.send_json({"item": "tea"})
    assert session.receive_text() == "tea"


def test_what_came_before_the_client_left_is_received_first(open_session: Open) -> None:
    received: list[str] = []
    ended = threading.Event()

    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        assert ended.wait(5)
        try:
            for text in websocket.iter_text():
                received.append(text)  # noqa: PERF402 - the loop is what raises
        except WebSocketDisconnect as disconnect:
            received.append(f"left with {int(disconnect.code)}")
        finally:
            ended.clear()

    session = open_session(handle)
    for text in ("one", "two"):
        session.send_text(text)
    session.send_raw(_core.ClientProtocol("/", "testserver").close(4321, ""))  # does not wait for the answer
    ended.set()
    while ended.is_set():
        time.sleep(0.001)
    assert received == ["one", "two", "left with 4321"]


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────


def test_messages_of_every_size_come_in_order(open_session: Open) -> None:
    texts = [str(number) * (1 if number % 7 else 30_000) for number in range(500)]

    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        for text in texts:
            websocket.send(text)

    session = open_session(handle)
    assert [session.receive() for _ in texts] == texts


def test_the_own_handler_waits_for_a_client_that_does_not_read(open_session: Open) -> None:
    sent: list[int] = []

    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        for number in range(200):
            websocket.send_bytes(bytes(65_536))
            sent.append(number)

    session = open_session(handle)
    before = -1
    while len(sent) != before:
        before = len(sent)
        time.sleep(0.05)
    assert 0 < len(sent) < 100
    assert all(session.receive_bytes() == bytes(65_536) for _ in range(200))
    assert session.wait_closed() == 1000


def test_a_send_that_waits_raises_when_the_client_leaves(open_session: Open) -> None:
    raised: queue.SimpleQueue[int] = queue.SimpleQueue()

    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        try:
            while True:
                websocket.send_bytes(bytes(65_536))
        except WebSocketDisconnect as disconnect:
            raised.put(disconnect.code)
            raise

    session = open_session(handle)
    session.receive_bytes()
    session.vanish()
    assert raised.get(timeout=5) == 1006


def test_sends_to_others_neither_wait_nor_raise(open_session: Open) -> None:
    """One of the others is gone, one does not read; the core closes it when it is too far behind."""
    clients: dict[str, SyncWebSocket] = {}
    joined = threading.Barrier(4)

    def member(name: str) -> Handle:
        def handle(websocket: SyncWebSocket) -> None:
            websocket.accept()
            clients[name] = websocket
            joined.wait(5)
            websocket.receive()

        return handle

    def sender(websocket: SyncWebSocket) -> None:
        websocket.accept()
        joined.wait(5)
        websocket.receive()
        for number in range(200):
            for client in clients.values():
                client.send_bytes(bytes(65_536) if client is clients["slow"] else str(number).encode())
        websocket.send_text("done")

    slow, gone, reader = (open_session(member(name)) for name in ("slow", "gone", "reader"))
    session = open_session(sender)
    gone.vanish()
    while clients["gone"].state is not WebSocketState.DISCONNECTED:
        time.sleep(0.001)
    session.send_text("go")
    assert [reader.receive_bytes() for _ in range(200)] == [str(number).encode() for number in range(200)]
    assert session.receive_text() == "done"
    assert slow.wait_closed() == 1013


def test_to_a_connection_that_is_not_open_yet_nothing_can_be_sent(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        sends = (
            lambda: websocket.send_text("x"),
            lambda: Context().run(websocket.send_text, "x"),  # as from another handler
            lambda: websocket.send_bytes(b"x"),
        )
        for send in sends:
            with pytest.raises(WrongState, match="CONNECTING"):
                send()
        websocket.accept()

    assert open_session(handle).wait_closed() == 1000


@pytest.mark.parametrize(
    ("name", "argument", "error"),
    [
        ("send_text", b"x", TypeError),
        ("send_text", 1, TypeError),
        ("send_text", "\ud800", UnicodeEncodeError),
        ("send_bytes", "x", TypeError),
        ("send", 1, TypeError),
        ("send_encoded", b"\xff", UnicodeDecodeError),
        ("send_json", object(), TypeError),
    ],
)
def test_what_cannot_be_sent_is_refused_at_the_call(
    open_session: Open, name: str, argument: Any, error: type[Exception]
) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        with pytest.raises(error):
            getattr(websocket, name)(argument)

    assert open_session(handle).wait_closed() == 1000


def test_a_buffer_may_be_changed_after_it_was_sent(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        data = bytearray(b"before")
        websocket.send_bytes(data)
        data[:] = b"after!"

    assert open_session(handle).receive_bytes() == b"before"


# ── topics ───────────────────────────────────────────────────────────────────────────────────────────────


def test_topics(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.subscribe("news")
        with websocket.subscribe("room:1", patterns=["room:2:*"], transform=str.upper) as subscription:
            assert subscription.topics == ("room:1", "room:2:*")
            assert websocket.topics == ("news", "room:1", "room:2:*")
            publish("room:2:5", "published")
        assert websocket.topics == ("news",)
        publish("room:1", "not received")
        websocket.unsubscribe("news")
        assert websocket.topics == ()
        websocket.send_text("end")

    session = open_session(handle)
    assert [session.receive_text(), session.receive_text()] == ["PUBLISHED", "end"]


def test_a_subscription_that_cannot_be_is_refused_at_the_call(open_session: Open) -> None:
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        with pytest.raises(TypeError, match="at least one topic"):
            websocket.subscribe()
        with pytest.raises(InvalidTopic):
            websocket.subscribe("")

    assert open_session(handle).wait_closed() == 1000


# ── threads ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_thread_of_the_handler_counts_as_it_only_with_its_context(open_session: Open) -> None:
    """As a task started from a handler does; without it the thread is anybody's, whose sends never raise."""
    outcomes: list[object] = []

    def attempt(websocket: SyncWebSocket) -> None:
        try:
            outcomes.append(websocket.send_text("late"))
        except WebSocketDisconnect as disconnect:
            outcomes.append(disconnect.code)

    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.close(4000)
        for context in (Context(), copy_context()):
            thread = threading.Thread(target=context.run, args=[attempt, websocket])
            thread.start()
            thread.join(5)
        outcomes.append("end")

    assert open_session(handle).wait_closed() == 4000
    while "end" not in outcomes:
        time.sleep(0.001)
    assert outcomes == [None, 4000, "end"]
