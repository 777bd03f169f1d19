from __future__ import annotations

import asyncio
import functools
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import override_settings

from django_bolt import BoltAPI, SyncWebSocket, WebSocket, WebSocketDisconnect, WebSocketException
from django_bolt.auth import AuthenticationFailed, AuthResult, BaseAuthentication
from django_bolt.endpoints.sync_handlers import is_plain_function
from django_bolt.testing import HandshakeRejected, TestClient
from django_bolt.threads import handler_threads

Connect = Callable[[BoltAPI], TestClient]
TIMEOUT = 5.0


@pytest.fixture
def serve() -> Iterator[Connect]:
    """Return a function that serves an API."""
    with ExitStack() as stack:
        yield lambda api: stack.enter_context(TestClient(api, raise_handler_exceptions=False))


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("function", "is_plain"),
    [
        (lambda websocket: None, True),
        (SyncWebSocket.accept, True),
        (asyncio.sleep, False),
        (ExitStack, False),
        (print, False),
    ],
)
def test_what_is_a_plain_function(function: Any, is_plain: bool) -> None:
    assert is_plain_function(function) is is_plain


def test_arguments_go_to_it_as_to_a_coroutine(serve: Connect) -> None:
    api = BoltAPI()

    @api.websocket("/{page}/{name}")
    def handle(page: int, socket: SyncWebSocket, name: str = "-", size: float = 0.5) -> None:
        socket.accept()
        socket.send_json([page, name, size, type(socket).__name__])

    client = serve(api)
    assert client.websocket_connect("/1/a?size=2").receive_json() == [1, "a", 2.0, "SyncWebSocket"]
    with pytest.raises(HandshakeRejected) as rejected:
        client.websocket_connect("/one/a")
    assert rejected.value.status == 422


def test_the_annotation_websocket_gets_what_blocks_as_well(serve: Connect) -> None:
    api = BoltAPI()

    @api.websocket("/")
    def handle(websocket: WebSocket) -> None:
        websocket.accept()  # type: ignore[unused-coroutine]
        websocket.send_text(type(websocket).__name__)  # type: ignore[unused-coroutine]

    assert serve(api).websocket_connect("/").receive_text() == "SyncWebSocket"


def test_a_coroutine_that_it_returns_is_an_error_and_not_dropped() -> None:
    api = BoltAPI()

    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()

    @api.websocket("/")
    def forgetful(websocket: WebSocket) -> Any:
        return handle(websocket)

    with (
        TestClient(api) as client,
        pytest.raises(TypeError, match=r"returned the coroutine .*handle\(\); make"),
    ):
        client.websocket_connect("/")


def test_a_coroutine_function_behind_a_plain_decorator_is_awaited(serve: Connect) -> None:
    api = BoltAPI()

    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, number: int, **kwargs: Any) -> Any:
            return function(*args, number=number * 2, **kwargs)

        return call

    @api.websocket("/")
    @twice
    async def handle(websocket: WebSocket, number: int) -> None:
        await websocket.accept()
        await websocket.send_json(number)

    assert serve(api).websocket_connect("/?number=4").receive_json() == 8


def test_methods_can_be_handlers(serve: Connect) -> None:
    class Shop:
        name = "shop"

        def handle(self, websocket: SyncWebSocket) -> None:
            websocket.accept()
            websocket.send_text(self.name)

    api = BoltAPI()
    api.websocket("/")(Shop().handle)
    assert serve(api).websocket_connect("/").receive_text() == "shop"


def test_it_runs_in_a_thread_without_an_event_loop(serve: Connect) -> None:
    api = BoltAPI()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        websocket.send_text(threading.current_thread().name)

    assert serve(api).websocket_connect("/").receive_text().startswith("django-bolt-handler-")


def test_coroutines_of_the_loop_can_be_called_from_it(serve: Connect) -> None:
    api = BoltAPI()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.send_text(async_to_sync(send_one)(websocket.asynchronous))

    async def send_one(websocket: WebSocket) -> str:
        await websocket.send_text("one")
        return threading.current_thread().name

    session = serve(api).websocket_connect("/")
    assert (session.receive_text(), session.receive_text()) == ("one", "django-bolt-test-server")


# ── the pool ─────────────────────────────────────────────────────────────────────────────────────────────


def test_when_all_threads_are_busy_the_handshake_is_answered_with_503(
    serve: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    api = BoltAPI()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.receive()

    @api.websocket("/async")
    async def coroutine(websocket: WebSocket) -> None:
        await websocket.accept()

    handler_threads.retire(TIMEOUT)
    with override_settings(BOLT={"MAX_SYNC_HANDLERS": 2}):
        client = serve(api)
        sessions = [client.websocket_connect("/") for _ in range(2)]
        with pytest.raises(HandshakeRejected) as rejected:
            client.websocket_connect("/")
        assert rejected.value.status == 503
        assert rejected.value.headers["retry-after"] == "10"
        assert rejected.value.json() == {"detail": "Service Unavailable"}
        assert "503 /: BOLT['MAX_SYNC_HANDLERS'] is 2" in caplog.text
        assert client.websocket_connect("/async").wait_closed() == 1000
        sessions[0].close()
        assert any_succeeds(lambda: client.websocket_connect("/").close() is None)


def any_succeeds(attempt: Callable[[], bool]) -> bool:
    """Try until it works: the thread of a handler is free a moment after the client knows of its end."""
    for _ in range(1000):
        try:
            return attempt()
        except HandshakeRejected:
            time.sleep(0.001)
    return False


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exception_is_logged_with_its_traceback_and_closes_with_1011(
    serve: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    api = BoltAPI()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        raise LookupError("inner secret")

    session = serve(api).websocket_connect("/")
    assert session.wait_closed() == 1011
    assert session.close_reason == ""
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "handle" in caplog.text
    assert "inner secret" in caplog.text
    assert record.name == "django_bolt.endpoint"


@pytest.mark.parametrize("way", ["return", "disconnect", "raise"])
def test_a_connection_is_freed_when_its_handler_has_ended(serve: Connect, way: str) -> None:
    """Without the garbage collector: thousands that come and go must not pile up until it comes."""
    api = BoltAPI()
    connections: list[weakref.ref[SyncWebSocket]] = []

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        connections.append(weakref.ref(websocket))
        websocket.accept()
        if way == "disconnect":
            websocket.receive()
        if way == "raise":
            raise WebSocketException(4000)

    gc.collect()
    gc.disable()
    try:
        session = serve(api).websocket_connect("/")
        if way == "disconnect":
            session.close()
        else:
            session.wait_closed()
        wait_until(lambda: connections[0]() is None)
    finally:
        gc.enable()


def test_a_handler_that_outlives_its_client_is_given_up_and_said_so(
    serve: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    api = BoltAPI()
    goes_on, ended = threading.Event(), threading.Event()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        try:
            assert goes_on.wait(TIMEOUT)
            raise LookupError("too late")
        finally:
            ended.set()

    with override_settings(BOLT={"DISCONNECT_GRACE": 0.05}):
        serve(api).websocket_connect("/").vanish()
        wait_until(lambda: "is given up, but still runs in its thread" in caplog.text)
    goes_on.set()
    assert ended.wait(TIMEOUT)
    wait_until(lambda: "raised after it was given up" in caplog.text)
    assert "too late" in caplog.text


def test_operations_of_a_handler_that_was_given_up_raise(serve: Connect) -> None:
    api = BoltAPI()
    outcomes: list[str] = []
    given_up = threading.Event()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        assert given_up.wait(TIMEOUT)
        for operation in (websocket.receive, lambda: websocket.send_text("x"), websocket.accept):
            try:
                operation()
            except WebSocketDisconnect:
                outcomes.append("disconnect")
        websocket.close()
        outcomes.append("closed")

    with override_settings(BOLT={"DISCONNECT_GRACE": 0.02}):
        client = serve(api)
        client.websocket_connect("/").vanish()
        wait_until(lambda: not client._serving.dispatcher.tasks)
    given_up.set()
    wait_until(lambda: "closed" in outcomes)
    assert outcomes == ["disconnect", "disconnect", "disconnect", "closed"]


def test_stopping_the_server_ends_handlers_that_wait(caplog: pytest.LogCaptureFixture) -> None:
    api = BoltAPI()
    ended = threading.Event()

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        try:
            websocket.receive()
        finally:
            ended.set()

    with TestClient(api) as client:
        client.websocket_connect("/")
    assert ended.wait(TIMEOUT)
    assert "given up" not in caplog.text


# ── the user ─────────────────────────────────────────────────────────────────────────────────────────────


class ByName(BaseAuthentication):
    """Know users by their names, which serve for tokens too."""

    async def authenticate(self, websocket: WebSocket) -> AuthResult:
        return await self.reauthenticate(websocket, websocket.query_params["user"])

    async def reauthenticate(self, websocket: WebSocket, token: Any) -> AuthResult:
        user = await User.objects.filter(username=token).afirst()
        if user is None:
            raise AuthenticationFailed
        return AuthResult(user.pk)


def test_the_user_is_loaded_by_looking_and_renewed_by_a_token(serve: Connect, db: None) -> None:
    User.objects.create(username="ann")
    api = BoltAPI(auth=[ByName])

    @api.websocket("/")
    def handle(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.send_text(websocket.user.username)
        for token in websocket.iter_text():
            try:
                websocket.reauthenticate(token)
            except AuthenticationFailed as failure:
                websocket.send_text(failure.detail)
            else:
                websocket.send_text("renewed")

    session = serve(api).websocket_connect("/?user=ann")
    assert session.receive_text() == "ann"
    session.send_text("nobody")
    assert session.receive_text() == "Authentication failed."
    session.send_text("ann")
    assert session.receive_text() == "renewed"
