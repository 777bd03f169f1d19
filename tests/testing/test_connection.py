"""The client's side without I/O, against answers written by hand."""

from __future__ import annotations

import base64
import hashlib

import pytest

from django_bolt import _core
from django_bolt.testing.connection import ClientConnection

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
MASKED_EMPTY_PAYLOAD = 6
"""Bytes of a masked control frame without payload: two of head, four of masking key."""


def accept(key: str) -> bytes:
    """Return the answer that accepts an opening handshake."""
    digest = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + digest + b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    )


def connect() -> ClientConnection:
    return ClientConnection("/ws", _core.ClientProtocol("/ws", "testserver"))


@pytest.fixture
def connection() -> ClientConnection:
    """An open connection."""
    connection = connect()
    connection.data_to_send()
    connection.receive_data(accept(connection.key))
    return connection


def test_each_connection_has_its_own_key() -> None:
    one, two = connect(), connect()
    assert f"Sec-WebSocket-Key: {one.key}\r\n".encode() in one.data_to_send()
    assert len(base64.b64decode(one.key)) == 16
    assert one.key != two.key


def test_what_is_to_be_sent_is_taken_once() -> None:
    connection = connect()
    assert connection.data_to_send().startswith(b"GET /ws HTTP/1.1\r\n")
    assert connection.data_to_send() == b""


def test_an_acceptance(connection: ClientConnection) -> None:
    assert connection.is_open
    assert connection.status is None
    assert [value for name, value in connection.response_headers if name == "set-cookie"] == ["a=1", "b=2"]


def test_a_rejection_in_pieces() -> None:
    connection = connect()
    for piece in (b"HTTP/1.1 403 Forbidden\r\nX-A: 1\r\n\r\n", b"no", b"t today"):
        connection.receive_data(piece)
    connection.receive_eof()
    assert (connection.is_open, connection.status, connection.body) == (False, 403, b"not today")
    assert connection.response_headers == [("x-a", "1")]


def test_messages_of_both_kinds(connection: ClientConnection) -> None:
    connection.receive_data(b"\x81\x01a" + b"\x82\x01b")
    assert list(connection.messages) == ["a", b"b"]


def test_a_ping_is_answered(connection: ClientConnection) -> None:
    connection.receive_data(b"\x89\x00")
    answer = connection.data_to_send()
    assert (answer[0], len(answer)) == (0x8A, MASKED_EMPTY_PAYLOAD)


def test_a_close_is_answered_once(connection: ClientConnection) -> None:
    connection.receive_data(b"\x88\x05\x0f\xa0bye")
    assert (connection.close_code, connection.close_reason) == (4000, "bye")
    assert connection.data_to_send()[0] == 0x88
    assert not connection.close(1000, "")
    assert connection.data_to_send() == b""


def test_the_answer_to_a_close_is_not_answered(connection: ClientConnection) -> None:
    assert connection.close(1000, "")
    assert connection.data_to_send()[0] == 0x88
    assert not connection.close(1000, "")
    connection.receive_data(b"\x88\x00")
    assert connection.close_code == 1005
    assert connection.data_to_send() == b""


def test_an_end_without_a_close(connection: ClientConnection) -> None:
    connection.receive_eof()
    assert (connection.close_code, connection.close_reason) == (1006, "")


def test_the_end_after_a_close_changes_nothing(connection: ClientConnection) -> None:
    connection.receive_data(b"\x88\x02\x0f\xa0")
    connection.receive_eof()
    assert connection.close_code == 4000


def test_a_server_that_breaks_the_protocol(connection: ClientConnection) -> None:
    connection.receive_data(b"\x83\x00")
    assert "1002" in connection.violation
    assert connection.close_code == 1006
