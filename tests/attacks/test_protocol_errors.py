"""Peers that break RFC 6455: a Close frame that says so, and then TCP's end without delay."""

from __future__ import annotations

import pytest

from tests.attacks.serving import Server
from tests.attacks.wire import (
    AT_ONCE,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    header,
)

CONTROL = (CLOSE, PING, PONG)
DATA = (TEXT, BINARY)

PROTOCOL_ERRORS = {
    **{f"unmasked {opcode:#x}": frame(opcode, b"", masked=False) for opcode in (*DATA, *CONTROL)},
    **{f"reserved bits {bits:#05b}": frame(TEXT, b"x", rsv=bits) for bits in (1, 2, 3, 5, 6, 7)},
    **{f"reserved bits of {opcode:#x}": frame(opcode, b"", rsv=4) for opcode in CONTROL},
    **{f"opcode {opcode:#x}": frame(opcode) for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    **{f"fragment of {opcode:#x}": frame(opcode, final=False) for opcode in CONTROL},
    **{f"long {opcode:#x}": frame(opcode, bytes(126)) for opcode in CONTROL},
    **{
        f"long header of {opcode:#x}": header(0x80 | opcode, 2**62)
        for opcode in CONTROL  # a limit of the protocol, not of ours: 1002, not 1009
    },
    "continues nothing": frame(CONTINUATION, b"x"),
    "a message in a message": frame(TEXT, b"x", final=False) + frame(TEXT, b"x"),
    "length in more bytes than needed": bytes([0x82, 0x80 | 126, 0, 125]) + bytes(4),
    "length in far more bytes than needed": bytes([0x82, 0x80 | 127]) + bytes(7) + b"\x7d" + bytes(4),
    "length of 64 bits": bytes([0x82, 0x80 | 127]) + b"\xff" * 8 + bytes(4),
    "close payload of one byte": frame(CLOSE, b"\x03"),
    **{
        f"close code {code}": close_frame(code)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}
BAD_TEXT = {
    "byte": frame(TEXT, b"\xff"),
    "overlong": frame(TEXT, b"\xc0\xaf"),
    "surrogate": frame(TEXT, b"\xed\xa0\x80"),
    "beyond": frame(TEXT, b"\xf4\x90\x80\x80"),
    "cut": frame(TEXT, "✓".encode()[:2]),
    "cut fragments": frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"\x9c"),
    "bad fragment": frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"x", final=False),
    "first fragment": frame(TEXT, b"good \xff", final=False),
    "close reason": close_frame(1000, b"\xff"),
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
def test_broken_rules_are_answered_with_1002(server: Server, data: bytes) -> None:
    with server.open("/echo") as peer:
        peer.send(data)
        peer.expect_failure(1002)


@pytest.mark.parametrize("data", BAD_TEXT.values(), ids=BAD_TEXT)
def test_text_that_is_not_utf_8_is_answered_with_1007(server: Server, data: bytes) -> None:
    with server.open("/echo") as peer:
        peer.send(data)
        peer.expect_failure(1007)


def test_text_is_refused_at_its_first_bad_byte(server: Server) -> None:
    """The rest of a long frame is not waited for (Autobahn's cases 6.4)."""
    with server.open("/echo") as peer:
        peer.send(header(0x81, 100_000) + b"good \xff")
        peer.expect_failure(1007)


@pytest.mark.parametrize("path", ["/echo", "/deaf"])
def test_what_came_before_the_error_is_answered_first(server: Server, path: str) -> None:
    """A ping needs no handler; a message does, and a handler that does not come for it delays the end a while."""
    with server.open(path) as peer:
        peer.send(frame(PING, b"1"), frame(0x3))
        assert peer.receive() == (PONG, b"1")
        peer.expect_failure(1002)


def test_messages_before_an_error_are_delivered(server: Server) -> None:
    with server.open("/echo") as peer:
        peer.send(frame(TEXT, b"1"), frame(BINARY, b"2"), frame(0x3))
        assert peer.receive() == (TEXT, b"1")
        assert peer.receive() == (BINARY, b"2")
        peer.expect_failure(1002)


def test_a_handler_that_does_not_receive_does_not_keep_a_broken_client(server: Server) -> None:
    """CLOSE_TIMEOUT is 1 second here."""
    with server.open("/deaf") as peer:
        peer.send(frame(TEXT, b"nobody reads this"), frame(0x3))
        peer.expect_failure(1002)


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_a_close_frame_is_answered_with_its_code(server: Server, code: int) -> None:
    with server.open("/echo") as peer:
        peer.send(close_frame(code, b"why not"))
        assert peer.receive().close_code == code
        peer.expect_end()


def test_a_close_frame_without_a_code_is_answered_with_one_without(server: Server) -> None:
    with server.open("/echo") as peer:
        peer.send(frame(CLOSE))
        assert peer.receive() == (CLOSE, b"")
        peer.expect_end()


def test_nothing_is_read_after_a_close_frame(server: Server) -> None:
    with server.open("/echo") as peer:
        peer.send(close_frame(1000), frame(TEXT, b"late"), frame(0x3))
        assert peer.receive().close_code == 1000
        peer.expect_end()


def test_errors_leave_nothing_behind(server: Server) -> None:
    for data in (*PROTOCOL_ERRORS.values(), *BAD_TEXT.values()):
        with server.open("/echo") as peer:
            peer.send(data)
            peer.receive_close()
    server.wait_until({"connections": 1, "tasks": 2}, within=2 * AT_ONCE)
