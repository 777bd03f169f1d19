"""Frames as bytes, right or wrong, made by hand (RFC 6455 section 5.2)."""

from __future__ import annotations

import os
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """Return one frame of a client.

    Args:
        opcode: Any number of four bits.
        payload: Its payload, not masked yet.
        final: The FIN bit.
        rsv: The three reserved bits.
        masked: Whether to mask, as a client must.
    """
    first = (0x80 if final else 0) | rsv << 4 | opcode
    key = os.urandom(4) if masked else b""
    data = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return bytes([first]) + _length(len(payload), 0x80 if masked else 0) + key + data


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return a Close frame with a code, allowed or not."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def _length(length: int, mask_bit: int) -> bytes:
    if length < 126:
        return bytes([mask_bit | length])
    if length < 65536:
        return bytes([mask_bit | 126]) + struct.pack("!H", length)
    return bytes([mask_bit | 127]) + struct.pack("!Q", length)
