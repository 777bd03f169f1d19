"""JSON messages: to bytes and from messages, by msgspec."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from django.utils.functional import Promise

from django_bolt.exceptions import InvalidMessage

__all__ = ["decoder_for", "encode_json"]


def _encode_unknown(value: Any) -> Any:
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_encode_unknown)


def encode_json(data: Any) -> bytes:
    """Encode data as JSON in UTF-8; Django's lazy strings are taken for their text.

    Raises:
        TypeError: Some of it has no JSON form.
    """
    return _encoder.encode(data)


def decoder_for(type_: Any) -> Callable[[str | bytes], Any]:
    """Return a function that decodes a message into a type, and raises `InvalidMessage` where it cannot.

    Raises:
        TypeError: The type cannot be decoded into.
    """
    try:
        return _cached_decoder(type_)
    except TypeError:
        # Not hashable, as Annotated with a list is; or not decodable, which is raised again here.
        return _make_decoder(type_)


def _make_decoder(type_: Any) -> Callable[[str | bytes], Any]:
    decode = msgspec.json.Decoder(type_).decode

    def decode_message(message: str | bytes) -> Any:
        try:
            return decode(message)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `")
            raise InvalidMessage(reason, path.rstrip("`") or "$") from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidMessage(str(error)) from None
        except RecursionError:
            raise InvalidMessage("JSON is nested too deeply") from None

    return decode_message


_cached_decoder = lru_cache(maxsize=256)(_make_decoder)
