"""One interface to the test project, whether a live server or a `TestClient` serves it.

A `Site` serves the endpoints, a `Session` is one connection to them. What a handler did is asked of the
serving process itself, through the endpoint ``/ws/probe``.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from django_bolt import WebSocketDisconnect
from django_bolt.testing import HandshakeRejected, TestClient, WebSocketTestSession
from tests.live_server import LiveServer

TIMEOUT = 5.0
"""Seconds in which anything that is awaited must have happened."""

_numbers = itertools.count()


class Rejected(Exception):  # noqa: N818 - what happened, not what is wrong
    """The opening handshake was answered with another HTTP response than 101."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


class Closed(Exception):  # noqa: N818
    """The connection has ended."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Session(ABC):
    """One connection, from the client's side."""

    subprotocol: str | None
    response_headers: Mapping[str, str]

    @abstractmethod
    def send(self, message: str | bytes) -> None:
        """Send text or bytes."""

    @abstractmethod
    def send_raw(self, data: bytes) -> None:
        """Send bytes past the protocol."""

    @abstractmethod
    def receive(self, timeout: float = TIMEOUT) -> str | bytes:
        """Receive a message; raises `Closed`, or TimeoutError."""

    @abstractmethod
    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the server's Close frame."""

    @abstractmethod
    def vanish(self) -> None:
        """Reset the connection: no Close frame, and not even the end of TCP."""

    @property
    @abstractmethod
    def close_code(self) -> int | None:
        """Close code, None while open."""

    @property
    @abstractmethod
    def close_reason(self) -> str | None:
        """Close reason."""

    def receive_json(self) -> Any:
        """Receive a message and decode it."""
        return json.loads(self.receive())

    def wait_closed(self) -> tuple[int, str]:
        """Wait for the end, leaving messages unread; returns code and reason."""
        try:
            while True:
                self.receive()
        except Closed as closed:
            return closed.code, closed.reason


class Site(ABC):
    """The test project, served.

    Attributes:
        mode: ``"live"`` or ``"test_client"``.
        key: What the connections of the running test are marked with, see `tests.project.recorder`.
        origin: Origin of the site's own pages.
    """

    mode: str
    origin: str

    def __init__(self) -> None:
        self.key = f"test-{os.getpid()}-{next(_numbers)}"
        self._stack = ExitStack()
        self._probe: Session | None = None

    def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
    ) -> Session:
        """Connect; raises `Rejected`. The connection is closed at the end of the test."""
        return self._connect(path, {"X-Test": self.key, **(headers or {})}, subprotocols, origin)

    @abstractmethod
    def _connect(
        self, path: str, headers: dict[str, str], subprotocols: Sequence[str], origin: str | None
    ) -> Session: ...

    @abstractmethod
    def open_socket(self) -> socket.socket:
        """Return a connected socket on which nothing was sent yet."""

    @abstractmethod
    def output(self) -> str:
        """Return what was printed and logged since the test began."""

    def close(self) -> None:
        """Close the connections of the test."""
        self._stack.close()

    def probe(self) -> dict[str, Any]:
        """Ask the serving process what it knows."""
        if self._probe is None:
            self._probe = self._connect("/ws/probe", {}, (), None)
        self._probe.send(self.key)
        answer: dict[str, Any] = self._probe.receive_json()
        return answer

    def events(self) -> list[str]:
        """Return what the handlers of this test have noted."""
        events: list[str] = self.probe()["events"]
        return events

    def wait_for_events(self, *expected: str) -> None:
        """Wait until the handlers of this test have noted just this."""
        wait_until(self.events, list(expected).__eq__)

    def wait_for_output(self, text: str) -> None:
        """Wait until a text was printed or logged."""
        wait_until(self.output, lambda output: text in output)


def wait_until(look: Callable[[], Any], is_right: Callable[[Any], bool]) -> None:
    """Look again and again until what is seen is right; AssertionError with the last of it otherwise."""
    deadline = time.monotonic() + TIMEOUT
    while not is_right(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {TIMEOUT:g} s in vain; last seen: {seen!r}")
        time.sleep(0.002)


def with_bolt(**settings: Any) -> pytest.MarkDecorator:
    """Mark a test to be served with settings ``BOLT`` of its own."""
    return pytest.mark.parametrize("bolt", [settings], ids=["settings"])


# ── live ─────────────────────────────────────────────────────────────────────────────────────────────────


class AbortableSocket(socket.socket):
    """A socket that can end by RST although another thread reads from it."""

    _is_aborted = False

    def abort(self) -> None:
        """Reset the connection; the reader closes the socket, and nothing but RST is sent."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._is_aborted = True
        super().shutdown(socket.SHUT_RD)  # Wakes the reader; the peer sees nothing of it.

    def shutdown(self, how: int) -> None:
        """Shut down, unless that would announce an orderly end before the RST."""
        if not self._is_aborted:
            super().shutdown(how)


class LiveSession(Session):
    """A connection by the client of the package ``websockets``."""

    def __init__(
        self, websocket: websockets.sync.client.ClientConnection, connection: AbortableSocket
    ) -> None:
        self._websocket = websocket
        self._connection = connection
        response = websocket.response
        assert response is not None
        self.subprotocol = websocket.subprotocol
        self.response_headers = {name.lower(): value for name, value in response.headers.raw_items()}

    def send(self, message: str | bytes) -> None:
        try:
            self._websocket.send(message)
        except ConnectionClosed:
            self._raise_closed()

    def send_raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def receive(self, timeout: float = TIMEOUT) -> str | bytes:
        try:
            return self._websocket.recv(timeout)
        except ConnectionClosed:
            self._raise_closed()

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._websocket.close(code, reason)

    def vanish(self) -> None:
        self._connection.abort()
        self._websocket.recv_events_thread.join()

    @property
    def close_code(self) -> int | None:
        return self._websocket.close_code

    @property
    def close_reason(self) -> str | None:
        return self._websocket.close_reason

    def _raise_closed(self) -> NoReturn:
        assert self.close_code is not None
        raise Closed(self.close_code, self.close_reason or "") from None


class LiveSite(Site):
    """The test project on a live server, with a client that is not ours."""

    mode = "live"

    def __init__(self, server: LiveServer) -> None:
        super().__init__()
        self.server = server
        self.origin = server.url
        self._start = len(server.output().encode())

    def _connect(
        self, path: str, headers: dict[str, str], subprotocols: Sequence[str], origin: str | None
    ) -> Session:
        connection = self._stack.enter_context(AbortableSocket())
        connection.connect(("127.0.0.1", self.server.port))
        opening: Any = websockets.sync.client.connect
        try:
            websocket = self._stack.enter_context(
                opening(
                    f"ws://{self.server.host}{path}",
                    sock=connection,
                    compression=None,  # what tests write by hand has none, and RSV1 shall be a violation
                    origin=origin,
                    subprotocols=list(subprotocols) or None,
                    additional_headers=headers,
                    proxy=None,
                    open_timeout=TIMEOUT,
                    close_timeout=TIMEOUT,
                )
            )
        except InvalidStatus as refusal:
            response = refusal.response
            raise Rejected(
                response.status_code, dict(response.headers.raw_items()), bytes(response.body or b"")
            ) from None
        return LiveSession(websocket, connection)

    def open_socket(self) -> socket.socket:
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", self.server.port), TIMEOUT))

    def output(self) -> str:
        return self.server.output(self._start)


# ── test client ──────────────────────────────────────────────────────────────────────────────────────────


class TestClientSession(Session):
    """A connection by `django_bolt.testing`."""

    __test__ = False

    def __init__(self, session: WebSocketTestSession) -> None:
        self._session = session
        self.subprotocol = session.accepted_subprotocol
        self.response_headers = session.response_headers

    def send(self, message: str | bytes) -> None:
        send: Any = self._session.send_text if isinstance(message, str) else self._session.send_bytes
        try:
            send(message)
        except WebSocketDisconnect as disconnect:
            raise Closed(disconnect.code, disconnect.reason) from None

    def send_raw(self, data: bytes) -> None:
        self._session.send_raw(data)

    def receive(self, timeout: float = TIMEOUT) -> str | bytes:
        try:
            return self._session.receive(timeout)
        except WebSocketDisconnect as disconnect:
            raise Closed(disconnect.code, disconnect.reason) from None

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._session.close(code, reason)

    def vanish(self) -> None:
        self._session.vanish()

    @property
    def close_code(self) -> int | None:
        return self._session.close_code

    @property
    def close_reason(self) -> str | None:
        return self._session.close_reason


class TestClientSite(Site):
    """The test project on a `TestClient`."""

    mode = "test_client"
    __test__ = False

    def __init__(
        self, client: TestClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__()
        self.origin = f"http://{client.host}"
        self._client = client
        self._caplog = caplog
        self._capsys = capsys
        self._printed = ""

    def _connect(
        self, path: str, headers: dict[str, str], subprotocols: Sequence[str], origin: str | None
    ) -> Session:
        if origin is not None:
            headers = {**headers, "Origin": origin}
        try:
            session = self._client.websocket_connect(path, headers=headers, subprotocols=subprotocols)
        except HandshakeRejected as rejection:
            raise Rejected(rejection.status, rejection.headers, rejection.body) from None
        return TestClientSession(self._stack.enter_context(session))

    def open_socket(self) -> socket.socket:
        # Below what a test of an application needs, so the client has no public name for it.
        connection = self._stack.enter_context(self._client._connect())
        connection.settimeout(TIMEOUT)
        return connection

    def output(self) -> str:
        printed = self._capsys.readouterr()
        self._printed += printed.out + printed.err
        return self._printed + self._caplog.text
