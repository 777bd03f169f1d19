"""The struct of the JSON scenario, for the peers in Python."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct):
    """What is decoded, and encoded again."""

    id: int
    text: str


decode = msgspec.json.Decoder(Message).decode
encode = msgspec.json.Encoder().encode
