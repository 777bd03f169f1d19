"""What may be published, as the payload of a message."""

from __future__ import annotations

from typing import Any

from django_bolt.json_messages import encode_json

__all__ = ["encode_message"]


def encode_message(message: Any) -> tuple[bytes, bool]:
    """Return the payload of a message, and whether it is a text message.

    Args:
        message: `str` for text, bytes for a binary message, anything else for its JSON in a text message.

    Raises:
        TypeError: It has no JSON form.
        UnicodeEncodeError: The text has lone surrogates, which UTF-8 cannot hold.
    """
    if isinstance(message, str):
        return message.encode(), True
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message), False
    return encode_json(message), True
