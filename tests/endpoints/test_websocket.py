from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec
import pytest
from django.core.exceptions import TooManyFieldsSent
from django.test import override_settings

from django_bolt import InvalidMessage, WebSocket, WebSocketDisconnect, WebSocketState, WrongState
from django_bolt.endpoints.connection import Connection
from tests.memory_connection import MemoryConnection


class Move(msgspec.Struct):
    x: int


def test_states_have_the_names_of_the_specification() -> None:
    assert [(state.name, state.value) for state in WebSocketState] == [
        ("CONNECTING", 0),
        ("CONNECTED", 1),
        ("DISCONNECTED", 2),
    ]


async def test_state_follows_the_connection() -> None:
    websocket = MemoryConnection()
    seen = [websocket.state]
    await websocket.accept()
    seen.append(websocket.state)
    await websocket.close()
    assert [*seen, websocket.state] == list(WebSocketState)


def test_the_interface_has_no_room_of_its_own_so_that_an_engine_can_be_put_before_it() -> None:
    assert WebSocket.__slots__ == Connection.__slots__ == ()

    class Engine:
        __slots__ = ("number",)

    class Concrete(Engine, WebSocket):
        __slots__ = WebSocket.CACHE_SLOTS

    concrete = Concrete()
    assert concrete.context == {}
    assert concrete.context is concrete.context
    assert not hasattr(concrete, "__dict__")


PRIMITIVES = sorted(name for name in vars(Connection) if not name.startswith("__") or name == "__aiter__")


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_left_to_the_engine(name: str) -> None:
    member = vars(Connection)[name]
    assert member.__doc__ if isinstance(member, property) else inspect.getdoc(member)
    function = member.fget if isinstance(member, property) else member
    arguments = [None] * (len(inspect.signature(function).parameters) - 1)
    with pytest.raises(NotImplementedError):
        function(Connection(), *arguments)


def test_the_request_is_read_from_its_target_and_header_fields() -> None:
    websocket = MemoryConnection(
        "/ws/caf%C3%A9?token=secret&a=1&a=2",
        [
            ("cookie", "sessionid=abc; theme=dark"),
            ("sec-websocket-protocol", "chat.v2, chat.v1"),
            ("accept-language", "de"),
            ("accept-language", "en"),
        ],
        host="example.com:8000",
    )
    assert websocket.path == "/ws/caf%C3%A9"
    assert websocket.url == "ws://example.com:8000/ws/caf%C3%A9?token=secret&a=1&a=2"
    assert websocket.query_params["a"] == "2"
    assert websocket.query_params.getlist("a") == ["1", "2"]
    assert websocket.headers["Accept-Language"] == websocket.headers["accept-language"] == "de, en"
    assert websocket.cookies == {"sessionid": "abc", "theme": "dark"}
    assert websocket.subprotocols == ["chat.v2", "chat.v1"]
    assert websocket.path_params == {}


def test_a_request_without_any_of_it() -> None:
    websocket = MemoryConnection("/", host=None)
    assert (websocket.url, dict(websocket.query_params), websocket.cookies) == ("ws:///", {}, {})
    assert websocket.subprotocols == []


def test_query_params_are_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        MemoryConnection("/?a=1").query_params["a"] = "2"


def test_query_params_that_are_no_utf_8_are_replaced_as_in_a_view() -> None:
    assert MemoryConnection("/?a=%FF").query_params["a"] == "\ufffd"


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=2)
def test_too_many_query_params_are_refused() -> None:
    with pytest.raises(TooManyFieldsSent):
        _ = MemoryConnection("/?a=1&b=2&c=3").query_params


def test_parsed_parts_are_kept_and_can_be_released() -> None:
    websocket = MemoryConnection("/?a=1", [("cookie", "a=1")])
    before = (websocket.headers, websocket.query_params, websocket.cookies)
    assert all(
        first is second
        for first, second in zip(
            before, (websocket.headers, websocket.query_params, websocket.cookies), strict=True
        )
    )
    websocket.release_request()
    websocket.release_request()
    after = (websocket.headers, websocket.query_params, websocket.cookies)
    assert not any(first is second for first, second in zip(before, after, strict=True))
    assert websocket.cookies == {"a": "1"}


def test_the_endpoint_is_known_once_it_was_found() -> None:
    websocket = MemoryConnection()
    with pytest.raises(WrongState):
        _ = websocket.endpoint
    endpoint: Any = object()
    websocket.bind(endpoint, {"room": "a"})
    assert websocket.endpoint is endpoint
    assert websocket.path_params == {"room": "a"}


def test_connections_can_be_kept_in_a_set() -> None:
    one, other = MemoryConnection(), MemoryConnection()
    assert {one, other, one} == {other, one}
    assert len({one, other, one}) == 2


def test_repr_shows_no_query() -> None:
    assert repr(MemoryConnection("/ws?token=secret")) == "<MemoryConnection 7 /ws CONNECTING>"


async def test_accept_takes_an_offered_subprotocol_and_header_fields() -> None:
    websocket = MemoryConnection("/", [("sec-websocket-protocol", "a, b")])
    await websocket.accept("b", {"X-A": "1"})
    assert websocket.accepted == ("b", [("X-A", "1")])


@pytest.mark.parametrize(("offered", "named"), [([("sec-websocket-protocol", "a, b")], "a, b"), ([], "none")])
def test_accept_refuses_a_subprotocol_that_was_not_offered(
    offered: list[tuple[str, str]], named: str
) -> None:
    with pytest.raises(ValueError, match=f"'c' was not offered by the client; offered: {named}"):
        MemoryConnection("/", offered).accept("c")


def test_accept_refuses_header_fields_of_the_handshake() -> None:
    with pytest.raises(ValueError, match="handshake itself"):
        MemoryConnection().accept(headers={"Sec-WebSocket-Protocol": "a"})


@pytest.mark.parametrize("operation", ["accept", "reject"])
async def test_the_opening_handshake_is_answered_once(operation: str) -> None:
    websocket = MemoryConnection()
    await websocket.accept()
    with pytest.raises(RuntimeError, match=rf"{operation}\(\) needs .* CONNECTING; this one is CONNECTED"):
        getattr(websocket, operation)()


async def test_accept_of_a_client_that_left_is_for_the_engine_to_report() -> None:
    websocket = MemoryConnection()
    websocket.leave()
    with pytest.raises(WebSocketDisconnect):
        await websocket.accept()


@pytest.mark.parametrize(
    ("body", "content", "content_type"),
    [
        (b"", b"", None),
        (b"\x00", b"\x00", None),
        (bytearray(b"a"), b"a", None),
        ("é", "é".encode(), "text/plain; charset=utf-8"),
        ({"a": 1}, b'{"a":1}', "application/json"),
        ([], b"[]", "application/json"),
        (None, b"null", "application/json"),
    ],
)
async def test_reject_sends_bytes_text_or_json(body: Any, content: bytes, content_type: str | None) -> None:
    websocket = MemoryConnection()
    await websocket.reject(404, body)
    headers = [("Content-Type", content_type)] if content_type else []
    assert websocket.rejected == (404, headers, content)


async def test_reject_answers_403_by_default() -> None:
    websocket = MemoryConnection()
    await websocket.reject()
    assert websocket.rejected == (403, [], b"")


async def test_reject_leaves_a_content_type_of_the_caller() -> None:
    websocket = MemoryConnection()
    await websocket.reject(400, {"a": 1}, {"content-type": "application/problem+json"})
    assert websocket.rejected == (400, [("content-type", "application/problem+json")], b'{"a":1}')


@pytest.mark.parametrize("status", [101, 199, 600])
def test_reject_refuses_a_status_that_ends_no_handshake(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        MemoryConnection().reject(status)


async def test_send_json_sends_one_text_message() -> None:
    websocket = MemoryConnection()
    await websocket.accept()
    await websocket.send_json({"type": "message", "data": "Hello"})
    assert [json.loads(message) for message in websocket.sent] == [{"type": "message", "data": "Hello"}]


def test_send_json_refuses_at_the_call_what_has_no_json_form() -> None:
    with pytest.raises(TypeError):
        MemoryConnection().send_json(object())


async def test_receive_json_decodes_either_kind() -> None:
    websocket = MemoryConnection(messages=['{"x": 1}', b'{"x": 2}', '{"x": 3}'])
    assert await websocket.receive_json() == {"x": 1}
    assert await websocket.receive_json() == {"x": 2}
    assert await websocket.receive_json(type=Move) == Move(3)


async def test_an_invalid_message_is_consumed_and_the_next_one_is_received() -> None:
    websocket = MemoryConnection(messages=["{", '{"x": "a"}', '{"x": 3}'])
    with pytest.raises(InvalidMessage):
        await websocket.receive_json()
    with pytest.raises(InvalidMessage, match=r"\$\.x"):
        await websocket.receive_json(type=Move)
    assert await websocket.receive_json(type=Move) == Move(3)


async def test_iter_json_raises_when_the_client_leaves() -> None:
    websocket = MemoryConnection(messages=['{"x": 1}', '{"x": 2}'])
    received: list[Move] = []

    async def collect() -> None:
        async for move in websocket.iter_json(type=Move):
            received.append(move)  # noqa: PERF401 - what came before the end counts

    with pytest.raises(WebSocketDisconnect):
        await collect()
    assert received == [Move(1), Move(2)]


# ── tokens among the subprotocols ────────────────────────────────────────────────────────────────────────


def offering(*entries: str) -> MemoryConnection:
    return MemoryConnection("/", [("sec-websocket-protocol", ", ".join(entries))])


def test_a_token_is_no_subprotocol() -> None:
    assert offering("chat", "bearer.a.b.c", "bolt").subprotocols == ["chat", "bolt"]


def test_subprotocols_may_come_in_several_fields() -> None:
    fields = [("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "bearer.a, other")]
    assert MemoryConnection("/", fields).subprotocols == ["chat", "other"]


@pytest.mark.parametrize(
    ("offered", "accepted"), [(["bolt", "bearer.x"], "bolt"), (["chat", "bearer.x"], None), (["bolt"], None)]
)
async def test_a_client_with_a_token_gets_the_fallback(offered: list[str], accepted: str | None) -> None:
    websocket = offering(*offered)
    await websocket.accept()
    assert websocket.accepted == (accepted, [])


def test_a_token_cannot_be_accepted_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="credential") as raised:
        offering("chat", "bearer.secret").accept("bearer.secret")
    assert "secret" not in str(raised.value)
    with pytest.raises(ValueError, match=r"offered: chat$"):
        offering("chat", "bearer.secret").accept("other")
