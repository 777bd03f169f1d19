"""Every snippet of the specification, section by section, on a live server and on a `TestClient`.

The snippets are in `tests.project.spec_api`, as written.
"""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from typing import Any

import jwt
import pytest
from django.conf import settings

from django_bolt import CloseCode, WebSocketState
from django_bolt.testing import TestClient
from tests.conformance.sites import Closed, Rejected, Site
from tests.project.spec_api import specification_api

HANDLERS = ["async def", "def"]

# ── Basic WebSocket endpoint ─────────────────────────────────────────────────────────────────────────────


def test_basic_websocket_endpoint(site: Site) -> None:
    websocket = site.connect("/ws/echo")
    for text in ("Hello", "", "ünïcödé ✓ 🚀", "x" * 100_000):
        websocket.send(text)
        assert websocket.receive() == f"Echo: {text}"
    websocket.close()
    assert websocket.close_code == 1000


# ── WebSocket lifecycle ──────────────────────────────────────────────────────────────────────────────────


def test_websocket_lifecycle(site: Site) -> None:
    websocket = site.connect("/ws/chat")
    for text in ("one", "two"):
        websocket.send(text)
        assert websocket.receive() == f"You said: {text}"
    websocket.close()
    assert (websocket.close_code, websocket.close_reason) == (1000, "")
    assert "Traceback" not in site.output()


# ── Sending messages ─────────────────────────────────────────────────────────────────────────────────────


def test_sending_messages(site: Site) -> None:
    websocket = site.connect("/ws/send")
    assert websocket.receive() == "Hello, World!"
    assert websocket.receive() == b"\x00\x01\x02\x03"
    assert websocket.receive_json() == {"type": "message", "data": "Hello"}


def test_sending_messages_json_is_a_text_message(site: Site) -> None:
    websocket = site.connect("/ws/send")
    websocket.receive()
    websocket.receive()
    assert isinstance(websocket.receive(), str)


# ── Receiving messages ───────────────────────────────────────────────────────────────────────────────────


def test_receiving_messages_text(site: Site) -> None:
    websocket = site.connect("/ws/receive/text")
    for text in ("single", "first", "second"):
        websocket.send(text)
    websocket.close()
    site.wait_for_output("Received: second")
    assert "Received: first" in site.output()
    assert "Received: single" not in site.output()


def test_receiving_messages_binary(site: Site) -> None:
    websocket = site.connect("/ws/receive/bytes")
    for length in (3, 70, 70_000):
        websocket.send(bytes(length))
    websocket.close()
    site.wait_for_output("Received 70000 bytes")
    assert "Received 70 bytes" in site.output()
    assert "Received 3 bytes" not in site.output()


def test_receiving_messages_json(site: Site) -> None:
    websocket = site.connect("/ws/receive/json")
    websocket.send('{"single": 1}')
    websocket.send('{"first": [1, 2.5, null, true]}')
    websocket.send(b'"second"')
    websocket.close()
    site.wait_for_output("Received: second")
    assert "Received: {'first': [1, 2.5, None, True]}" in site.output()
    assert "single" not in site.output()


# ── Path parameters ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "room_id"), [("lobby", "lobby"), ("42", "42"), ("caf%C3%A9", "café"), ("a%2Fb", "a/b")]
)
def test_path_parameters(site: Site, sent: str, room_id: str) -> None:
    websocket = site.connect(f"/ws/room/{sent}")
    websocket.send("hello")
    assert websocket.receive() == f"[{room_id}] hello"


# ── Query parameters ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", ["", "?token=wrong", "?token=", "?other=secret"])
def test_query_parameters_refused_by_close_before_accept(site: Site, query: str) -> None:
    websocket = site.connect(f"/ws/connect{query}")
    assert websocket.wait_closed() == (4001, "Invalid token")


def test_query_parameters_accepted(site: Site) -> None:
    websocket = site.connect("/ws/connect?token=secret")
    assert websocket.wait_closed() == (1000, "")


# ── Closing connections ──────────────────────────────────────────────────────────────────────────────────


def test_closing_connections_from_the_server(site: Site) -> None:
    assert site.connect("/ws/close/plain").wait_closed() == (1000, "")
    assert site.connect("/ws/close/with-reason").wait_closed() == (1000, "Normal closure")


@pytest.mark.parametrize("path", ["/ws", "/ws/receive-loop"], ids=["iter loop", "receive loop"])
@pytest.mark.parametrize("leave", ["close", "vanish"])
def test_closing_connections_handling_client_disconnect(site: Site, path: str, leave: str) -> None:
    websocket = site.connect(path)
    websocket.send("still here")
    assert websocket.receive() == "still here"
    assert "Client disconnected" not in site.output()
    getattr(websocket, leave)()
    site.wait_for_output("Client disconnected")
    assert site.output().count("Client disconnected") == 1
    assert "Traceback" not in site.output()


# ── Close codes ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NORMAL_CLOSURE", 1000),
        ("GOING_AWAY", 1001),
        ("PROTOCOL_ERROR", 1002),
        ("UNSUPPORTED_DATA", 1003),
        ("POLICY_VIOLATION", 1008),
        ("SERVER_ERROR", 1011),
    ],
)
def test_close_codes(site: Site, name: str, code: int) -> None:
    assert CloseCode[name] == code
    assert site.connect(f"/ws/close/with/{name}").wait_closed() == (code, name)


def test_close_codes_access(site: Site) -> None:
    assert site.connect("/ws/close/normal").wait_closed() == (1000, "")


# ── Authentication ───────────────────────────────────────────────────────────────────────────────────────

NOW = int(time.time())
CLAIMS = {"user_id": 7, "exp": NOW + 3600}


def sign(claims: dict[str, Any], key: str = settings.SECRET_KEY, algorithm: str = "HS256") -> str:
    """Return a token."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)  # HS512 asks for a longer one
        return jwt.encode(claims, key, algorithm)


def token_with_another_payload() -> str:
    """Return a token whose claims were changed after it was signed."""
    head, _, signature = sign(CLAIMS).split(".")
    _, payload, _ = sign({**CLAIMS, "user_id": 1}).split(".")
    return f"{head}.{payload}.{signature}"


BAD_TOKENS = {
    "malformed": "not-a-token-at-all",
    "two parts": sign(CLAIMS).rpartition(".")[0],
    "expired": sign({**CLAIMS, "exp": NOW - 60}),
    "not yet valid": sign({**CLAIMS, "nbf": NOW + 3600}),
    "wrong signature": sign(CLAIMS, key="another-key-that-is-long-enough-for-sha256"),
    "changed claims": token_with_another_payload(),
    "alg none": sign(CLAIMS, key="", algorithm="none"),
    "other algorithm": sign(CLAIMS, algorithm="HS512"),
    "no user": sign({"exp": NOW + 3600}),
}


def test_authentication_by_query_parameter(site: Site) -> None:
    token = sign(CLAIMS)
    assert site.connect(f"/ws/protected?token={token}").receive() == "Welcome, user 7"
    assert token not in site.output()


def test_authentication_by_header(site: Site) -> None:
    token = sign({"sub": "alice", "exp": NOW + 3600})
    headers = {"Authorization": f"Bearer {token}"}
    assert site.connect("/ws/protected", headers=headers).receive() == "Welcome, user alice"
    assert token not in site.output()


def test_authentication_missing(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/ws/protected")
    assert refusal.value.status == 401
    assert refusal.value.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("way", ["query", "header"])
@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_authentication_with_a_bad_token_never_reaches_the_handler(site: Site, token: str, way: str) -> None:
    # The twin of the specification's endpoint that notes whether its handler ran.
    for path in ("/ws/protected", "/outcomes/protected"):
        query = f"?token={token}" if way == "query" else ""
        headers = {"Authorization": f"Bearer {token}"} if way == "header" else {}
        with pytest.raises(Rejected) as refusal:
            site.connect(path + query, headers=headers)
        assert refusal.value.status == 401
        assert refusal.value.headers["www-authenticate"] == "Bearer"
        assert token.encode() not in refusal.value.body
    assert site.events() == []
    assert token not in site.output()


def test_authentication_fills_the_context(site: Site) -> None:
    claims = {**CLAIMS, "name": "Alice"}
    context = site.connect(f"/outcomes/protected?token={sign(claims)}").receive_json()
    assert context == {"user_id": 7, "claims": claims, "permissions": None, "backend": "JWTAuthentication"}


@pytest.mark.parametrize(
    "path",
    [
        "/unknown",
        "/outcomes/guarded",
        "/outcomes/parameters/seven",
        "/outcomes/http-exception",
        "/outcomes/raises-before-accept",
        "/outcomes/raises",
        "/outcomes/wants/receive_bytes",
        "/outcomes/echo",
    ],
)
def test_authentication_token_appears_in_no_log_line(site: Site, path: str) -> None:
    token = sign({**CLAIMS, "path": path})
    headers = {"Authorization": f"Bearer {token}", "Origin": site.origin}
    with suppress(Rejected, Closed):
        websocket = site.connect(f"{path}?token={token}", headers=headers)
        websocket.send("text")
        websocket.receive()
        websocket.close()
    site.probe()
    assert token not in site.output()
    assert token.rpartition(".")[2] not in site.output()


# ── WebSocket state ──────────────────────────────────────────────────────────────────────────────────────


def test_websocket_state(site: Site) -> None:
    websocket = site.connect("/ws/state")
    assert websocket.receive() == "Still connected"
    assert websocket.receive_json() == ["CONNECTING", "CONNECTED"]
    assert websocket.wait_closed() == (1000, "")
    site.wait_for_output("State after close: DISCONNECTED")
    assert [state.name for state in WebSocketState] == ["CONNECTING", "CONNECTED", "DISCONNECTED"]


# ── Testing WebSockets ───────────────────────────────────────────────────────────────────────────────────


def test_testing_websockets() -> None:
    api = specification_api

    with TestClient(api) as client:  # noqa: SIM117 - as written
        with client.websocket_connect("/ws/echo") as ws:
            ws.send_text("Hello")
            response = ws.receive_text()
            assert response == "Echo: Hello"


# ── Real-time patterns ───────────────────────────────────────────────────────────────────────────────────


def test_broadcast_to_all_clients(site: Site) -> None:
    clients = [site.connect("/ws/broadcast") for _ in range(5)]
    for number, sender in enumerate(clients):
        sender.send(f"from {number}")
        assert [client.receive() for client in clients] == [f"from {number}"] * 5
    clients.pop().close()
    clients.pop().vanish()
    clients[0].send("fewer")
    assert [client.receive() for client in clients] == ["fewer"] * 3


def test_room_based_chat(site: Site) -> None:
    red = [site.connect("/room-chat/ws/room/red") for _ in range(3)]
    blue = [site.connect("/room-chat/ws/room/blue") for _ in range(2)]
    red[0].send("to red")
    blue[0].send("to blue")
    assert [client.receive() for client in red] == ["[red] to red"] * 3
    assert [client.receive() for client in blue] == ["[blue] to blue"] * 2
    with pytest.raises(TimeoutError):
        blue[1].receive(timeout=0.05)
