"""What a handler finds on its `WebSocket`, on a live server and on a `TestClient`.

The endpoints are in `tests.project.surface_api`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.sites import Site

HANDLERS = ["async def", "def"]

# ── the request ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def request_seen(site: Site) -> dict[str, Any]:
    """What a handler has seen of a request."""
    websocket = site.connect(
        "/surface/request/caf%C3%A9/7?name=x+y&tag=a&tag=b&empty=",
        headers={"X-One": "1", "Cookie": 'session=abc; theme="dark blue"'},
        subprotocols=["chat.v2", "chat.v1"],
    )
    seen: dict[str, Any] = websocket.receive_json()
    return seen


def test_headers(request_seen: dict[str, Any]) -> None:
    assert (request_seen["x-one"], request_seen["X-ONE"], request_seen["missing"]) == ("1", "1", None)
    assert request_seen["raw"] == [["x-one", "1"]]


def test_query_params(request_seen: dict[str, Any]) -> None:
    assert request_seen["query"] == {"name": "x y", "tag": "b", "empty": ""}
    assert request_seen["repeated"] == ["a", "b"]


def test_path_params(request_seen: dict[str, Any]) -> None:
    assert request_seen["path_params"] == {"name": "café", "number": "7"}


def test_cookies(request_seen: dict[str, Any]) -> None:
    assert request_seen["cookies"] == {"session": "abc", "theme": "dark blue"}


def test_subprotocols(request_seen: dict[str, Any]) -> None:
    assert request_seen["subprotocols"] == ["chat.v2", "chat.v1"]


def test_url(request_seen: dict[str, Any], site: Site) -> None:
    host = site.origin.removeprefix("http://")
    path = "/surface/request/caf%C3%A9/7"
    assert request_seen["url"] == f"ws://{host}{path}?name=x+y&tag=a&tag=b&empty="
    assert request_seen["path"] == path


def test_client(request_seen: dict[str, Any], site: Site) -> None:
    if site.mode == "live":
        host, port = request_seen["client"]
        assert host == "127.0.0.1"
        assert 0 < port < 65536
    else:
        assert request_seen["client"] is None  # A socket pair has no addresses.


# ── accept ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chosen", ["chat.v1", "chat.v2"])
def test_accept_with_subprotocol_and_headers(site: Site, chosen: str) -> None:
    websocket = site.connect(
        f"/surface/accept/subprotocol?chosen={chosen}", subprotocols=["chat.v2", "chat.v1"]
    )
    assert websocket.subprotocol == chosen
    assert websocket.response_headers["x-served-by"] == "test"
    assert websocket.response_headers["set-cookie"] == "seen=1"
    assert websocket.receive() == "accepted"


def test_accept_without_subprotocol(site: Site) -> None:
    websocket = site.connect("/surface/accept/plain", subprotocols=["chat.v1"])
    assert websocket.subprotocol is None
    assert "sec-websocket-protocol" not in websocket.response_headers
    assert websocket.receive() == "accepted"


def test_accept_with_header_pairs(site: Site) -> None:
    websocket = site.connect("/surface/accept/pairs")
    assert websocket.response_headers["x-number"] == "1"
    assert websocket.response_headers["x-other"] == "2"


# ── context ──────────────────────────────────────────────────────────────────────────────────────────────


def test_context_lasts_as_long_as_its_connection(site: Site) -> None:
    one, other = site.connect("/surface/context"), site.connect("/surface/context")
    for count in (1, 2):
        one.send("x")
        assert one.receive_json() == {"count": count}
    other.send("x")
    assert other.receive_json() == {"count": 1}


# ── send and receive ─────────────────────────────────────────────────────────────────────────────────────

MESSAGES: list[str | bytes] = [
    "text",
    b"bytes",
    "",
    b"",
    "ünïcödé ✓ 🚀",
    bytes(range(256)),
    "\0",
    "x" * 70_000,
]


@pytest.mark.parametrize("endpoint", ["receive", "iterate"])
def test_either_kind(site: Site, endpoint: str) -> None:
    websocket = site.connect(f"/surface/echo/{endpoint}")
    for message in MESSAGES:
        websocket.send(message)
        assert websocket.receive() == message


@pytest.mark.parametrize("endpoint", ["receive", "iterate"])
def test_either_kind_many_at_once(site: Site, endpoint: str) -> None:
    websocket = site.connect(f"/surface/echo/{endpoint}")
    for message in MESSAGES:
        websocket.send(message)
    assert [websocket.receive() for _ in MESSAGES] == MESSAGES


@pytest.mark.parametrize(
    ("method", "message", "seen"),
    [
        ("receive", "text", ["str", "'text'"]),
        ("receive", b"bytes", ["bytes", "b'bytes'"]),
        ("receive_text", "text", ["str", "'text'"]),
        ("receive_bytes", b"bytes", ["bytes", "b'bytes'"]),
        ("receive_json", "[1, null]", ["list", "[1, None]"]),
        ("receive_json", b'{"a": 1.0}', ["dict", "{'a': 1.0}"]),
        ("iter_text", "text", ["str", "'text'"]),
        ("iter_bytes", b"bytes", ["bytes", "b'bytes'"]),
        ("iter_json", '"\\u00e9"', ["str", "'é'"]),
    ],
)
def test_each_receive(site: Site, method: str, message: str | bytes, seen: list[str]) -> None:
    websocket = site.connect(f"/surface/describe/{method}")
    for _ in range(2):
        websocket.send(message)
        assert websocket.receive_json() == seen


def test_send_takes_buffers(site: Site) -> None:
    websocket = site.connect("/surface/send-buffers")
    received = [websocket.receive() for _ in range(5)]
    assert received == [b"bytearray", b"memoryview", b"", "", "héllo ✓"]


def test_cancelled_receive_loses_nothing(site: Site) -> None:
    websocket = site.connect("/surface/timeout")
    assert websocket.receive() == "timed out"
    websocket.send("late")
    assert websocket.receive() == "then late"


# ── state, close code and reason ─────────────────────────────────────────────────────────────────────────


def test_states_when_the_client_closes(site: Site) -> None:
    websocket = site.connect("/surface/states")
    websocket.close(4321, "bye")
    site.wait_for_events("CONNECTING None", "CONNECTED None", "DISCONNECTED 4321 'bye'")


def test_states_when_the_client_vanishes(site: Site) -> None:
    site.connect("/surface/states").vanish()
    site.wait_for_events("CONNECTING None", "CONNECTED None", "DISCONNECTED 1006 ''")


def test_states_when_the_handler_closes(site: Site) -> None:
    websocket = site.connect("/surface/states/own-close")
    assert websocket.wait_closed() == (4002, "enough")
    site.wait_for_events(
        "DISCONNECTED 4002 'enough'",
        "WebSocketDisconnect",
        "WebSocketDisconnect",
        "4002 'enough'",
    )


# ── misuse ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "operation",
    [
        "send",
        "send_text",
        "send_bytes",
        "send_json",
        "receive",
        "receive_text",
        "receive_bytes",
        "receive_json",
        "iter_text",
    ],
)
def test_misuse_before_accept(site: Site, operation: str) -> None:
    assert site.connect(f"/surface/misuse/before-accept/{operation}").receive() == "RuntimeError"


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("accept", "RuntimeError"),
        ("reject", "RuntimeError"),
        ("close-999", "ValueError"),
        ("close-1005", "ValueError"),
        ("close-1006", "ValueError"),
        ("close-1015", "ValueError"),
        ("close-2000", "ValueError"),
        ("close-5000", "ValueError"),
        ("close-long-reason", "ValueError"),
        ("send-int", "TypeError"),
        ("send_text-bytes", "TypeError"),
        ("send_bytes-str", "TypeError"),
        ("send_json-object", "TypeError"),
    ],
)
def test_misuse_after_accept(site: Site, operation: str, error: str) -> None:
    assert site.connect(f"/surface/misuse/after-accept/{operation}").receive() == error


@pytest.mark.parametrize(
    "operation", ["subprotocol", "header-name", "header-value", "handshake-header", "reject-101"]
)
def test_misuse_of_the_handshake(site: Site, operation: str) -> None:
    websocket = site.connect(f"/surface/misuse/accept/{operation}", subprotocols=["chat.v1"])
    assert websocket.receive() == "ValueError"
    assert websocket.subprotocol is None


def test_second_receive_at_once(site: Site) -> None:
    websocket = site.connect("/surface/concurrent")
    assert websocket.receive() == "RuntimeError"
    websocket.send("for the first")
    assert websocket.receive() == "for the first"
