"""Write the seeds of the fuzz targets: ``python fuzz/make_seeds.py``.

Each seed begins with the bytes that its target takes its choices from (see ``targets/``); zeros mean a server's
reader with large limits and without compression.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

SEEDS = Path(__file__).resolve().parent / "seeds"
KEY = b"\x37\xfa\x21\x3d"
CUTS = bytes([1, 2, 3, 5, 8, 13, 21, 34])


def frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """Return a frame of a client, or of a server."""
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        header = bytes([first, bit | len(payload)])
    elif len(payload) < 65536:
        header = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        header = struct.pack("!BBQ", first, bit | 127, len(payload))
    if not masked:
        return header + payload
    return header + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


def deflate(payload: bytes, level: int = 6) -> bytes:
    """Compress a message (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


TEXT = "κόσμε 𐍈 ✓".encode()

STREAMS = {
    "text": [(0x81, b"Hello")],
    "binary": [(0x82, bytes(range(200)))],
    "long": [(0x82, b"x" * 300), (0x82, b"x" * 70_000)],
    "empty": [(0x81, b""), (0x82, b""), (0x89, b"")],
    "fragments": [(0x01, TEXT[:3]), (0x00, TEXT[3:7]), (0x89, b"ping"), (0x80, TEXT[7:])],
    "empty_fragments": [(0x02, b""), (0x00, b""), (0x80, b"")],
    "control": [(0x89, b"x" * 125), (0x8A, b""), (0x88, b"\x03\xe8bye")],
    "close_code": [(0x88, b"\x03\xed")],
    "close_short": [(0x88, b"\x03")],
    "close_reason": [(0x88, b"\x03\xe8\xff")],
    "bad_text": [(0x81, b"good \xff")],
    "cut_text": [(0x81, b"\xe2\x9c")],
    "surrogate": [(0x01, b"\xed"), (0x80, b"\xa0\x80")],
    "reserved_bit": [(0xB1, b"")],
    "reserved_opcode": [(0x83, b"")],
    "continues_nothing": [(0x80, b"")],
    "message_in_message": [(0x01, b"a"), (0x81, b"b")],
    "fragmented_ping": [(0x09, b"")],
    "compressed": [(0xC1, deflate(b"Hello Hello Hello")), (0xC2, deflate(bytes(2000)))],
    "compressed_fragments": [(0x41, deflate(TEXT)[:5]), (0x80, deflate(TEXT)[5:])],
    "bomb": [(0xC2, deflate(bytes(100_000)))],
}
RAW = {
    "huge": b"\x82\xff\x40" + bytes(7) + KEY,
    "not_minimal": b"\x82\xfe\x00\x7d" + KEY,
    "unmasked": b"\x81\x00",
    "sign_bit": b"\x82\xff\xff" + bytes(7) + KEY,
}

PAYLOADS = {
    "stored": deflate(b"stored", 0),
    "fixed": deflate(b"Hello"),
    "dynamic": deflate(" ".join(map(str, range(500))).encode(), 9),
    "match": deflate(b"abcabcabc" * 50),
    "zeros": deflate(bytes(3000)),
    "empty": b"\x00",
    "nothing": b"",
    "last_block": b"\xf3\x48\xcd\xc9\xc9\x07\x00",
    "two_blocks": b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    "bad_block": b"\x06",
    "bad_distance": b"\x02\x03\x10",
}

REQUEST = (
    "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
REQUESTS = {
    "plain": REQUEST,
    "firefox": REQUEST.replace("Upgrade\r\nSec", "keep-alive, Upgrade\r\nSec"),
    "extensions": REQUEST + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    "subprotocols": REQUEST + "Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://example.com\r\n",
    "absolute": REQUEST.replace("/chat", "http://server.example.com/chat"),
    "version_8": REQUEST.replace(": 13", ": 8"),
    "short_key": REQUEST.replace("dGhl", ""),
    "post": REQUEST.replace("GET", "POST"),
    "http_1_0": REQUEST.replace("1.1", "1.0"),
    "two_hosts": REQUEST + "Host: server.example.com\r\n",
    "body": REQUEST + "Content-Length: 5\r\n",
    "page": "GET / HTTP/1.1\r\nHost: localhost\r\n",
    "empty_lines": "\r\n\r\nGET / HTTP/1.1\r\n",
    "bare_newlines": REQUEST.replace("\r\n", "\n"),
    "folded": REQUEST + "X-Folded: a\r\n b\r\n",
}

RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
RESPONSES = {
    "plain": RESPONSE,
    "subprotocol": RESPONSE + "Sec-WebSocket-Protocol: chat\r\n",
    "deflate": RESPONSE + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
    "wrong_accept": RESPONSE.replace("s3pP", "xxxx"),
    "rejected": "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n",
    "no_reason": "HTTP/1.1 200\r\n",
}

EXTENSIONS = {
    "deflate": "permessage-deflate",
    "all": "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=10; client_max_window_bits=11",
    "bare_bits": "permessage-deflate; client_max_window_bits",
    "quoted": 'permessage-deflate; server_max_window_bits="1\\0"',
    "two_offers": "permessage-deflate; server_max_window_bits=7, permessage-deflate",
    "other": "x-webkit-deflate-frame, , permessage-deflate ; unknown = 1",
    "malformed": 'permessage-deflate; a="',
}

CODE_POINTS = {
    "ascii": b"Hello, World!",
    "text": TEXT,
    "overlong": b"\xc0\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond": b"\xf4\x90\x80\x80",
    "greatest": b"\xf4\x8f\xbf\xbf",
    "cut": b"\xf0\x9f\x98",
    "lone": b"\x80",
}


def seeds() -> dict[str, dict[str, bytes]]:
    """Return the seeds by target and name."""
    made: dict[str, dict[str, bytes]] = {
        "reader": {
            **{f"raw_{name}": bytes(5) + CUTS + data for name, data in RAW.items()},
            "long_garbage": bytes(5) + CUTS + bytes(range(256)),
        },
        "frame_header": RAW | {name: frame(*frames[0])[:14] for name, frames in STREAMS.items()},
        "frames": {
            "texts": b"\x00" + CUTS[:4] + b"\x08\x05Hello\x00\x03abc\x04\x02hi\x03\x04\xff\xff\xff\xff",
            "split_text": b"\x00" + CUTS[:4] + b"\x08\x04" + TEXT[:4] + b"\x00\x20" + TEXT[4:],
            "long": b"\x01" + CUTS[:4] + b"\x43\xff" + b"y" * 255,
            "broken": b"\x00" + CUTS[:4] + b"\x03\x02ok\x07\x02\x83\x80",
        },
        "inflate": {
            name: b"\x01" + CUTS[:4] + bytes([0, -(-len(payload) // 8)]) + payload
            for name, payload in PAYLOADS.items()
        },
        "deflate": {
            "levels": bytes([1, 8, 0, 15]) + CUTS[:4] + b"\x00\x05Hello\x31\x40" + b"abcd" * 16,
            "context": bytes([6, 9, 1, 9]) + CUTS[:4] + b"\x01\x05Hello\x01\x05Hello\x02\x05Hello\x00\x00",
            "stored": bytes([0, 1, 1, 8]) + CUTS[:4] + b"\x22\xff" + bytes(range(255)),
        },
        "handshake": {name: f"\0\0{head}\r\n".encode() for name, head in REQUESTS.items()},
        "response": {name: f"\1\1{head}\r\n".encode() for name, head in RESPONSES.items()},
        "extensions": {name: bytes(6) + value.encode() for name, value in EXTENSIONS.items()},
        "utf8": {name: CUTS[:4] + text for name, text in CODE_POINTS.items()},
    }
    made["handshake"]["tls"] = b"\0\0\x16\x03\x01\x02\x00\x01\x00"
    for name, frames in STREAMS.items():
        for role, masked in ((0, True), (1, False)):
            stream = b"".join(frame(first, payload, masked=masked) for first, payload in frames)
            choices = bytes([role, 0, 0, 0, 2 if "compressed" in name or name == "bomb" else 0])
            made["reader"][f"{name}_{'server' if masked else 'client'}"] = choices + CUTS + stream
    return made


def main() -> None:
    """Write them anew."""
    shutil.rmtree(SEEDS, ignore_errors=True)
    for target, inputs in seeds().items():
        (SEEDS / target).mkdir(parents=True)
        for name, data in inputs.items():
            (SEEDS / target / name).write_bytes(data[:8192])


if __name__ == "__main__":
    main()
