"""Messages into types, by the library that knows the type: msgspec, or Pydantic for its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django_bolt.json_messages.decoder import JsonDecoder
from django_bolt.json_messages.msgspec_types import make_msgspec_decoder
from django_bolt.json_messages.pydantic_types import is_pydantic, make_pydantic_decoder

__all__ = ["decoder_for", "make_decoder"]


def decoder_for(type_: Any) -> Callable[[str | bytes], Any]:
    """Return a function that decodes a message into a type, and raises `InvalidMessage` where it cannot.

    Raises:
        TypeError: The type cannot be decoded into.
    """
    try:
        return _cached_decoder(type_)
    except TypeError:
        # Not hashable, as Annotated with a list is; or not decodable, which is raised again here.
        return _make_raising(type_)


def make_decoder(type_: Any) -> JsonDecoder:
    """Make a decoder, by the library that knows the type.

    Raises:
        TypeError: The type cannot be decoded into.
    """
    make = make_pydantic_decoder if is_pydantic(type_) else make_msgspec_decoder
    try:
        return make(type_)
    except (TypeError, NameError) as error:
        shown = type_.__qualname__ if isinstance(type_, type) else repr(type_)
        raise TypeError(f"Messages cannot be decoded into {shown}: {error}") from None


def _make_raising(type_: Any) -> Callable[[str | bytes], Any]:
    return make_decoder(type_).raising()


_cached_decoder = lru_cache(maxsize=256)(_make_raising)
