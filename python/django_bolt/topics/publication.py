"""A publication: what is published on a topic, and how it crosses from process to process."""

from __future__ import annotations

import msgspec

from django_bolt.exceptions import InvalidPublication, PublicationTooLarge

__all__ = ["WIRE_OVERHEAD", "Publication", "check_size", "decode", "encode"]

VERSION = b"\x01"
"""First byte on the wire. Fields are only ever added at the end, where older processes ignore them."""

WIRE_OVERHEAD = 2048
"""An encoded publication is at most so many bytes longer than its data: names and numbers are bounded."""


class Publication(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message on a topic, encoded once for all that get it.

    Attributes:
        topic: Name of the topic.
        data: The payload; UTF-8 if it is text.
        is_text: Whether receivers get a text message.
        origin: `process_id` of the publishing process, which delivers to its own subscribers itself.
        offset: Place in the topic's history; None without one.
        epoch: Name of the history that the offset counts in; None without one.
        exclude: Number of the one connection of the origin that does not get it. Means nothing elsewhere.
    """

    topic: str
    data: bytes
    is_text: bool
    origin: str = ""
    offset: int | None = None
    epoch: str | None = None
    exclude: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Publication)


def check_size(publication: Publication, limit: int) -> None:
    """Check the size of what is to be published.

    Args:
        publication: What is to be published.
        limit: Most bytes of its data, as ``MAX_PUBLICATION_SIZE`` says.

    Raises:
        PublicationTooLarge: Its data exceed the limit.
    """
    if len(publication.data) > limit:
        raise PublicationTooLarge(publication.topic, len(publication.data), limit)


def encode(publication: Publication) -> bytes:
    """Return a publication as bytes for `decode`."""
    return VERSION + _encoder.encode(publication)


def decode(raw: bytes | bytearray | memoryview) -> Publication:
    """Return the publication that came as bytes from another process.

    Raises:
        InvalidPublication: It is not one: another version, garbled, or text that is not UTF-8.
    """
    view = memoryview(raw)
    if view[:1] != VERSION:
        raise InvalidPublication(f"version {bytes(view[:1]).hex() or 'missing'}, not {VERSION.hex()}")
    try:
        publication = _decoder.decode(view[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPublication(str(error)) from error
    if publication.is_text and not publication.data.isascii():
        _check_utf8(publication.data)
    return publication


def _check_utf8(data: bytes) -> None:
    """A client would end its connection on text that is not UTF-8 (RFC 6455 section 8.1)."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidPublication("text that is not UTF-8") from error
