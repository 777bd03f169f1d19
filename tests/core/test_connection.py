from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from django_bolt import UnsupportedData, WebSocketDisconnect, _core
from tests.core.conftest import Serve
from tests.core.loopback import Client, Handler, Peer, disconnect_of, echo, settle, until

MIB = 1 << 20
LARGE = 10 * MIB
ROOMY = {"max_message_size": 2 * LARGE, "max_frame_size": 2 * LARGE, "outbound_limit": 8 * LARGE}


def fragment(opcode: int, payload: bytes, final: bool) -> bytes:
    """A masked frame, with the key of zeros; at most 125 bytes."""
    return bytes([opcode | (0x80 if final else 0), 0x80 | len(payload), 0, 0, 0, 0]) + payload


# ── properties ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_request(serve: Serve) -> None:
    server = serve()
    fields = [("X-Name", "é"), ("x-name", "second"), ("Cookie", "a=1; b=2")]
    _, ws = await server.open(target="/rooms/caf%C3%A9?x=1&y=%20", headers=fields, subprotocols=["a", "b"])
    assert ws.target == "/rooms/caf%C3%A9?x=1&y=%20"
    assert ws.raw_headers[0] == ("host", "testserver")
    assert [value for name, value in ws.raw_headers if name == "x-name"] == ["é", "second"]
    assert ("cookie", "a=1; b=2") in ws.raw_headers
    assert ("sec-websocket-protocol", "a, b") in ws.raw_headers
    assert all(name == name.lower() for name, _ in ws.raw_headers)
    assert ws.header_values("x-name") == ["é", "second"]
    assert ws.header_values("Cookie") == ["a=1; b=2"]
    assert ws.header_values("absent") == []


async def test_ids_are_unique_and_rise(serve: Serve) -> None:
    server = serve()
    ids = [(await server.open())[1].id for _ in range(3)]
    assert ids == sorted(set(ids))


async def test_a_socket_pair_has_no_addresses(serve: Serve) -> None:
    _, ws = await serve().open()
    assert ws.peer is None
    assert ws.server is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_addresses(serve: Serve, host: str) -> None:
    server = serve()
    try:
        listener = server.listen(host)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        client = await (await server.connect(listener)).open()
        (ws,) = server.peers
        assert ws.peer == client.connection.getsockname()[:2]
        assert ws.server == listener.getsockname()[:2]
        client.drop()
        await until(lambda: ws.ready_state == 2)
        assert ws.peer is not None


async def test_states_of_a_connection_that_the_client_closes(serve: Serve) -> None:
    states: list[Any] = []

    def note(ws: Peer) -> None:
        states.append((ws.ready_state, ws.close_code, ws.close_reason))

    async def handler(ws: Peer) -> None:
        note(ws)
        await ws.accept_handshake(None, [])
        note(ws)
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        note(ws)

    server = serve(handler)
    client = await server.client().open()
    await client.send(client.protocol.close(4321, "gründlich"))
    assert await client.rest() == [("close", 4321, ""), ("eof",)]
    assert await server.ended() is None
    assert states == [(0, None, ""), (1, None, ""), (2, 4321, "gründlich")]


async def test_a_close_frame_without_code(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.send(client.protocol.close(None))
    error = await disconnect_of(ws)
    assert (error.code, error.reason, ws.close_code) == (1005, "", 1005)
    assert await client.rest() == [("close", None, ""), ("eof",)]


async def test_a_client_that_vanishes(serve: Serve) -> None:
    client, ws = await serve().open()
    client.drop()
    error = await disconnect_of(ws)
    assert (error.code, error.reason, ws.close_code) == (1006, "", 1006)


async def test_a_client_that_resets(serve: Serve) -> None:
    server = serve()
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        (ws,) = server.peers
        client.reset()
        assert (await disconnect_of(ws)).code == 1006


async def test_a_reset_while_messages_wait_to_be_sent(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        while True:
            await ws.send_bytes(bytes(100_000))

    server = serve(handler)
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        await until(lambda: server.peers[0].buffered_amount > 0)
        client.reset()
        assert isinstance(await server.ended(), WebSocketDisconnect)


async def test_buffered_amount(serve: Serve) -> None:
    client, ws = await serve().open()
    assert ws.buffered_amount == 0
    ws.send_text("12345")
    assert ws.buffered_amount == 7
    await until(lambda: ws.buffered_amount == 0)
    assert await client.message() == "12345"
    ws.send_bytes(bytes(10 * MIB))
    await settle()
    assert 0 < ws.buffered_amount <= 10 * MIB + 10
    assert await client.message() == bytes(10 * MIB)
    assert ws.buffered_amount == 0


async def test_a_connection_made_by_hand_belongs_to_no_reactor() -> None:
    ws = Peer()
    assert ws.target == ""
    assert ws.raw_headers == []
    with pytest.raises(RuntimeError):
        await ws.send_text("x")
    with pytest.raises(RuntimeError):
        await ws.receive()
    with pytest.raises(RuntimeError):
        await ws.close()


async def test_connections_are_hashable_and_can_be_referenced_weakly(serve: Serve) -> None:
    server = serve()
    (_, one), (_, two) = await server.open(), await server.open()
    assert len({one, two, one}) == 2
    assert weakref.ref(one)() is one


# ── opening handshake ─────────────────────────────────────────────────────────────────────────────────────────────


async def opened_by(serve: Serve, handler: Handler, **options: Any) -> tuple[Client, tuple[Any, ...]]:
    """Connect to a handler and return the first event."""
    client = serve(handler).client(**options)
    await client.send(client.protocol.request())
    return client, await client.event()


async def test_accept_with_subprotocol_and_header_fields(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        fields = [("X-One", "1"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("X-Name", "é")]
        await ws.accept_handshake("chat", fields)

    _, event = await opened_by(serve, handler, subprotocols=["other", "chat"])
    kind, subprotocol, headers = event
    assert (kind, subprotocol) == ("accepted", "chat")
    assert ("x-one", "1") in headers
    assert ("x-name", "é") in headers
    assert [value for name, value in headers if name == "set-cookie"] == ["a=b", "c=d"]


async def test_reject(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.reject_handshake(429, [("Retry-After", "3"), ("Content-Type", "text/plain")], b"later")
        assert ws.ready_state == 2
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        assert caught.value.code == 1006

    client, event = await opened_by(serve, handler)
    assert event[:2] == ("rejected", 429)
    assert ("retry-after", "3") in event[2]
    assert ("content-length", "5") in event[2]
    assert await client.rest() == [("body", b"later"), ("eof",)]


async def test_close_before_accept_completes_the_handshake_first(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.close(4001, "no token")
        assert (ws.ready_state, ws.close_code, ws.close_reason) == (2, 4001, "no token")

    client, event = await opened_by(serve, handler)
    assert event[0] == "accepted"
    assert await client.event() == ("close", 4001, "no token")
    await client.send(client.protocol.close(4001))
    assert await client.rest() == [("eof",)]


async def test_fail_before_accept_ends_tcp(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        ws.fail(1011)

    client = serve(handler).client()
    await client.send(client.protocol.request())
    assert (await client.rest())[-1] in [("eof",), ("reset",)]


async def test_the_handshake_is_answered_once(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        with pytest.raises(RuntimeError, match="CONNECTED"):
            await ws.accept_handshake(None, [])
        with pytest.raises(RuntimeError, match="CONNECTED"):
            await ws.reject_handshake(403, [], b"")
        await ws.send_text("still open")

    client, _ = await opened_by(serve, handler)
    assert await client.message() == "still open"


async def test_what_is_sent_before_accept_is_an_error(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        for send in (ws.send_text, ws.send):
            with pytest.raises(RuntimeError, match="CONNECTING"):
                await send("early")
        with pytest.raises(RuntimeError, match="CONNECTING"):
            await ws.send_bytes(b"early")
        await ws.accept_handshake(None, [])
        await ws.send_text("first")

    client, _ = await opened_by(serve, handler)
    assert await client.message() == "first"


async def test_accept_when_the_client_is_gone(serve: Serve) -> None:
    gone = asyncio.Event()

    async def handler(ws: Peer) -> None:
        await gone.wait()
        for answer in (ws.accept_handshake(None, []), ws.reject_handshake(403, [], b""), ws.receive()):
            with pytest.raises(WebSocketDisconnect) as caught:
                await answer
            assert caught.value.code == 1006
        assert ws.close_code == 1006

    server = serve(handler)
    client = server.client()
    await client.send(client.protocol.request())
    await until(lambda: server.peers)
    (ws,) = server.peers
    client.drop()
    await until(lambda: ws.ready_state == 2)
    gone.set()
    assert await server.ended() is None


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "čĊ", "日"])
async def test_header_values_must_be_clean(serve: Serve, value: str) -> None:
    async def handler(ws: Peer) -> None:
        for answer in (
            lambda: ws.accept_handshake(None, [("X-A", value)]),
            lambda: ws.accept_handshake(value, []),
            lambda: ws.reject_handshake(403, [("X-A", value)], b""),
        ):
            with pytest.raises(ValueError):  # noqa: PT011 - which of the values it is, the message says
                await answer()
        await ws.accept_handshake(None, [])

    _, event = await opened_by(serve, handler)
    assert event[0] == "accepted"


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 1000])
async def test_statuses_that_cannot_reject(serve: Serve, status: int) -> None:
    async def handler(ws: Peer) -> None:
        with pytest.raises(ValueError, match="200 to 599"):
            await ws.reject_handshake(status, [], b"")
        await ws.accept_handshake(None, [])

    _, event = await opened_by(serve, handler)
    assert event[0] == "accepted"


async def test_messages_behind_the_handshake_are_kept(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(ws: Peer) -> None:
        await release.wait()
        await ws.accept_handshake(None, [])
        async for message in ws:
            await ws.send(message)

    server = serve(handler)
    client = server.client()
    early = [client.protocol.text(str(number)) for number in range(100)]
    await client.send(client.protocol.request() + b"".join(early[:50]))
    await until(lambda: server.peers)
    await client.send(*early[50:])
    await settle()
    release.set()
    assert (await client.event())[0] == "accepted"
    assert [await client.message() for _ in range(100)] == list(map(str, range(100)))


async def test_a_handshake_and_a_close_in_one_piece(serve: Serve) -> None:
    server = serve(echo)
    client = server.client()
    await client.open(client.protocol.text("a") + client.protocol.close(4000))
    assert await client.rest() == [("text", "a"), ("close", 4000, ""), ("eof",)]


async def test_a_handshake_byte_by_byte(serve: Serve) -> None:
    server = serve(echo)
    client = server.client()
    for byte in client.protocol.request():
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.event())[0] == "accepted"
    await client.text("a")
    assert await client.message() == "a"


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 16 * 1024 - 1, 16 * 1024, MIB]


@pytest.mark.parametrize("size", SIZES)
async def test_sizes(serve: Serve, size: int) -> None:
    client, ws = await serve(**ROOMY).open()
    data = bytes(number % 251 for number in range(size)) if size < MIB else bytes(size)
    receiving = asyncio.create_task(ws.receive())
    await client.send(client.protocol.binary(data))
    assert await receiving == data
    await ws.send_bytes(data)
    assert await client.message() == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(data)[:]])
@pytest.mark.parametrize("size", [3, LARGE])
async def test_kinds_of_bytes(serve: Serve, kind: Callable[[bytes], Any], size: int) -> None:
    client, ws = await serve(**ROOMY).open()
    data = (b"\x00\xff\x80" * (size // 3 + 1))[:size]
    for send in (ws.send_bytes, ws.send):
        await send(kind(data))
        assert await client.message() == data


async def test_a_buffer_may_change_after_the_call(serve: Serve) -> None:
    client, ws = await serve(**ROOMY).open()
    data = bytearray(b"a" * MIB)
    sending = ws.send_bytes(data)
    data[:] = b"b" * MIB
    await sending
    assert await client.message() == b"a" * MIB


async def test_a_view_that_is_not_contiguous(serve: Serve) -> None:
    client, ws = await serve().open()
    await ws.send_bytes(memoryview(bytes(range(10)))[::2])
    assert await client.message() == bytes(range(0, 10, 2))


@pytest.mark.parametrize(
    "text", ["é" * (LARGE // 2), "日本" * (LARGE // 6), "🙂" * (LARGE // 4)], ids=["é", "日本", "🙂"]
)
async def test_large_texts_both_ways(serve: Serve, text: str) -> None:
    client, _ = await serve(echo, **ROOMY).open()
    sending = asyncio.create_task(client.text(text))
    assert await client.message() == text
    await sending


async def test_a_large_text_as_encoded_bytes(serve: Serve) -> None:
    client, ws = await serve(**ROOMY).open()
    await ws.send_encoded("日本".encode() * 100_000)
    assert await client.message() == "日本" * 100_000


async def test_text_with_every_kind_of_character(serve: Serve) -> None:
    client, _ = await serve(echo).open()
    text = "a\0é\u07ff\u0800\uffff\U00010000\U0010ffff\ufeff"
    await client.text(text)
    assert await client.message() == text


async def test_subclasses_of_str_and_bytes(serve: Serve) -> None:
    class Text(str):
        __slots__ = ()

    class Data(bytes):
        __slots__ = ()

    client, ws = await serve().open()
    for number in (1, 50_000):
        await ws.send_text(Text("a" * number))
        await ws.send(Text("b" * number))
        await ws.send_bytes(Data(b"c" * number))
        assert [await client.message() for _ in range(3)] == ["a" * number, "b" * number, b"c" * number]


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("send_text", b"x"),
        ("send_text", None),
        ("send_text", 1),
        ("send_bytes", "x"),
        ("send_bytes", 1),
        ("send_bytes", [1]),
        ("send", None),
        ("send", 1),
        ("send_encoded", "x"),
        ("send_encoded", bytearray(b"x")),
    ],
)
async def test_values_of_a_wrong_type(serve: Serve, method: str, value: Any) -> None:
    client, ws = await serve().open()
    with pytest.raises(TypeError):
        await getattr(ws, method)(value)
    await ws.send_text("nothing was sent")
    assert await client.message() == "nothing was sent"


async def test_text_that_is_no_utf_8(serve: Serve) -> None:
    client, ws = await serve().open()
    with pytest.raises(UnicodeEncodeError):
        await ws.send_text("\ud800")
    with pytest.raises(UnicodeDecodeError):
        await ws.send_encoded(b"\xff")
    await ws.send_text("nothing was sent")
    assert await client.message() == "nothing was sent"


async def test_order_of_small_and_large_payloads(serve: Serve) -> None:
    """Small frames are copied, large ones shared: they must not overtake each other."""
    client, ws = await serve(**ROOMY).open()
    sent: list[str | bytes] = []
    for number in range(200):
        length = (1, 300, 16_384, 70_000, 0, 16_383)[number % 6]
        message = str(number) + "x" * length
        sent.append(message if number % 2 else message.encode())
        ws.send(sent[-1])
        if number % 50 == 49:
            await asyncio.sleep(0)
    assert [await client.message() for _ in sent] == sent


async def test_what_is_shared_is_let_go(serve: Serve) -> None:
    class Probe:
        pass

    client, ws = await serve(**ROOMY).open()
    data = bytes(MIB)
    before = _references(data)
    ws.send_bytes(data)
    assert _references(data) == before + 1
    assert await client.message() == data
    await until(lambda: _references(data) == before)


def _references(value: object) -> int:
    import sys

    return sys.getrefcount(value)


async def test_fragments(serve: Serve) -> None:
    client, ws = await serve().open()
    text = "é日🙂".encode()
    pieces = [fragment(1, text[:1], False)]
    pieces += [fragment(0, text[at : at + 1], False) for at in range(1, len(text))]
    await client.send(*pieces, fragment(9, b"between", True), fragment(0, b"", True))
    assert await ws.receive_text() == "é日🙂"
    assert await client.event() == ("pong", b"between")
    await client.send(fragment(2, b"a", False), fragment(0, b"b", False), fragment(0, b"c", True))
    assert await ws.receive_bytes() == b"abc"
    await client.send(fragment(1, b"", False), fragment(0, b"", True))
    assert await ws.receive() == ""


async def test_frames_byte_by_byte(serve: Serve) -> None:
    client, ws = await serve().open()
    receiving = asyncio.create_task(ws.receive())
    for byte in client.protocol.text("é" * 100):
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await receiving == "é" * 100


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125))], ids=len)
async def test_a_ping_is_answered_by_a_pong_with_its_payload(serve: Serve, payload: bytes) -> None:
    client, _ = await serve().open()
    await client.send(client.protocol.ping(payload))
    assert await client.event() == ("pong", payload)


async def test_an_unasked_pong_is_ignored(serve: Serve) -> None:
    client, _ = await serve(echo).open()
    await client.send(client.protocol.pong(b"x"), client.protocol.text("a"))
    assert await client.message() == "a"


async def test_messages_wait_until_they_are_received(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.send(client.protocol.text("a"), client.protocol.binary(b"b"), client.protocol.text("c"))
    assert await ws.receive_text() == "a"
    with pytest.raises(UnsupportedData):
        await ws.receive_text()
    assert await ws.receive_text() == "c"


# ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_close_from_the_handler(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await ws.send_text("bye")
        await ws.close(4000, "because")
        assert (ws.ready_state, ws.close_code, ws.close_reason) == (2, 4000, "because")
        await ws.close(4001, "ignored")
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "because")
        with pytest.raises(WebSocketDisconnect):
            await ws.send_text("too late")

    server = serve(handler)
    client = await server.client().open()
    assert await client.message() == "bye"
    assert await client.event() == ("close", 4000, "because")
    assert await server.ended() is None
    await client.send(client.protocol.close(4000))
    assert await client.rest() == [("eof",)]
    await until(lambda: not server.peers)


async def test_close_from_another_task_wakes_the_handler(serve: Serve) -> None:
    server = serve(echo)
    client, ws = await server.open()
    await ws.close(1001, "going")
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert (outcome.code, outcome.reason) == (1001, "going")
    assert await client.event() == ("close", 1001, "going")


async def test_the_first_close_frame_counts(serve: Serve) -> None:
    client, ws = await serve().open()
    await ws.close(4000)
    assert await client.event() == ("close", 4000, "")
    await client.send(client.protocol.close(4999, "late"))
    assert await client.rest() == [("eof",)]
    assert (ws.close_code, ws.close_reason) == (4000, "")


async def test_messages_that_meet_our_close_are_dropped(serve: Serve) -> None:
    client, ws = await serve().open()
    await ws.close(4000)
    await client.text("too late")
    assert await client.event() == ("close", 4000, "")
    with pytest.raises(WebSocketDisconnect):
        await ws.receive()
    await client.send(client.protocol.close(4000))
    assert await client.rest() == [("eof",)]


async def test_fail_sends_its_close_frame_and_ends_tcp(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open()
    ws.send_bytes(bytes(300_000))
    ws.fail(1008, "rules")
    assert await client.rest() == [("bytes", bytes(300_000)), ("close", 1008, "rules"), ("eof",)]
    client.drop()
    for task in set(server.tasks):
        task.cancel()
    await until(lambda: not server.peers)


async def test_fail_though_the_client_still_sends(serve: Serve) -> None:
    """Unread bytes must not turn our end into a reset that overtakes the Close frame."""
    server = serve()
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        (ws,) = server.peers
        for _ in range(20):
            client.connection.send(client.protocol.binary(bytes(10_000)))
        ws.fail(1008, "rules")
        assert await client.rest() == [("close", 1008, "rules"), ("eof",)]


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65536])
async def test_codes_that_may_not_be_sent(serve: Serve, code: int) -> None:
    _, ws = await serve().open()
    with pytest.raises((ValueError, OverflowError)):
        await ws.close(code)
    with pytest.raises((ValueError, OverflowError)):
        ws.fail(code)
    assert ws.ready_state == 1


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999])
async def test_codes_that_may_be_sent(serve: Serve, code: int) -> None:
    client, ws = await serve().open()
    await ws.close(code)
    assert await client.event() == ("close", code, "")


async def test_reasons_have_123_bytes(serve: Serve) -> None:
    client, ws = await serve().open()
    with pytest.raises(ValueError, match="123"):
        await ws.close(1000, "é" * 62)
    with pytest.raises(ValueError, match="123"):
        ws.fail(1000, "a" * 124)
    await ws.close(1000, "é" * 61 + "a")
    assert await client.event() == ("close", 1000, "é" * 61 + "a")


async def test_sends_to_a_connection_that_is_over_do_nothing_elsewhere(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open()
    client.drop()
    await until(lambda: ws.ready_state == 2)
    await ws.send_text("x")
    await ws.send_bytes(b"x")
    await ws.close()
    ws.fail(1011)
    assert ws.close_code == 1006
    assert ws.buffered_amount == 0


BROKEN = {
    "an unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
    "a reserved bit": (b"\xc1\x80\0\0\0\0", 1002),
    "no mask": (b"\x81\x01a", 1002),
    "text that is no UTF-8": (b"\x81\x81\0\0\0\0\xff", 1007),
    "a large frame": (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    "a continuation of nothing": (b"\x80\x80\0\0\0\0", 1002),
    "a fragmented ping": (b"\x09\x80\0\0\0\0", 1002),
}


@pytest.mark.parametrize(("frame", "code"), BROKEN.values(), ids=BROKEN)
async def test_messages_before_a_broken_frame_are_answered_first(
    serve: Serve, frame: bytes, code: int
) -> None:
    server = serve(echo)
    client = await server.client().open()
    await client.send(client.protocol.text("one"), client.protocol.text("two"), frame)
    events = await client.rest()
    assert events[:2] == [("text", "one"), ("text", "two")]
    assert events[2][:2] == ("close", code)
    assert events[3:] == [("eof",)]
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert outcome.code == code
    assert server.reactor.counters["protocol_errors"] == 1


async def test_messages_before_a_close_are_answered_first(serve: Serve) -> None:
    server = serve(echo)
    client = await server.client().open()
    await client.send(*map(client.protocol.text, map(str, range(1000))), client.protocol.close(4000, "done"))
    events = await client.rest()
    assert events[:-2] == [("text", str(number)) for number in range(1000)]
    assert events[-2:] == [("close", 4000, ""), ("eof",)]
    outcome = await server.ended()
    assert isinstance(outcome, WebSocketDisconnect)
    assert (outcome.code, outcome.reason) == (4000, "done")


async def test_a_broken_frame_is_answered_though_the_handler_is_busy(serve: Serve) -> None:
    """The handler takes nothing; the closing timeout answers for it."""
    client, ws = await serve(close_timeout=0.05).open()
    await client.send(client.protocol.text("untaken"), b"\x83\x80\0\0\0\0")
    assert (await client.rest())[0][:2] == ("close", 1002)
    assert await ws.receive() == "untaken"
    assert (await disconnect_of(ws)).code == 1002


async def test_a_half_closed_peer_gets_the_answers_to_what_it_sent(serve: Serve) -> None:
    """It ended its side of TCP behind its last message, as scripted clients do."""
    server = serve(echo)
    with server.listen() as listener:
        client = await (await server.connect(listener)).open()
        await client.text("one", "two")
        client.connection.shutdown(socket.SHUT_WR)
        assert (await client.rest())[:2] == [("text", "one"), ("text", "two")]
        outcome = await server.ended()
        assert isinstance(outcome, WebSocketDisconnect)
        assert outcome.code == 1006


async def test_messages_before_the_end_of_tcp_can_be_received(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("one", "two")
    client.drop()
    assert [await ws.receive(), await ws.receive()] == ["one", "two"]
    assert (await disconnect_of(ws)).code == 1006


async def test_a_connection_that_is_over_stays_usable_as_an_object(serve: Serve) -> None:
    server = serve()
    client, ws = await server.open(target="/kept?x=1")
    await client.end()
    for task in set(server.tasks):
        task.cancel()
    await until(lambda: not server.peers)
    assert ws.target == "/kept?x=1"
    assert ws.raw_headers
    assert (ws.ready_state, ws.close_code) == (2, 1000)
    with pytest.raises(WebSocketDisconnect):
        await ws.receive()


def test_the_base_class_is_enough() -> None:
    assert issubclass(Peer, _core.Connection)
    assert _core.Connection().ready_state == 2
