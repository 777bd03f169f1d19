"""JSON messages into the types that msgspec knows: structs, dataclasses, TypedDicts and what JSON itself has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from django_bolt.exceptions import InvalidMessage
from django_bolt.json_messages.decoder import JsonDecoder, Message
from django_bolt.json_messages.pydantic_types import InvalidPart, convert_part, is_pydantic

__all__ = ["make_msgspec_decoder"]


def make_msgspec_decoder(type_: Any) -> JsonDecoder:
    """Make a decoder; fields that are Pydantic's are left to Pydantic.

    Raises:
        TypeError: No message could be decoded into the type.
    """
    decoder = msgspec.json.Decoder(type_)
    unknown = {custom.cls for custom in _custom_types(inspect.type_info(type_), set())} - {object}
    foreign = [cls for cls in unknown if not is_pydantic(cls)]
    if foreign:
        raise TypeError(f"{foreign[0].__qualname__} is neither a JSON type nor one that is built from JSON")
    if unknown:
        decoder = msgspec.json.Decoder(type_, dec_hook=_convert)
    return JsonDecoder(decoder.decode, _explain)


def _convert(type_: type, data: Any) -> Any:
    return data if type_ is object else convert_part(type_, data)


def _custom_types(node: Any, seen: set[int]) -> Iterator[inspect.CustomType]:
    """Find the types within a type that msgspec itself cannot build."""
    if isinstance(node, inspect.CustomType):
        yield node
    elif isinstance(node, tuple):
        for entry in node:
            yield from _custom_types(entry, seen)
    elif isinstance(node, inspect.Type | inspect.Field) and id(node) not in seen:
        seen.add(id(node))
        for name in node.__struct_fields__:
            yield from _custom_types(getattr(node, name), seen)


def _explain(error: Exception, message: Message) -> InvalidMessage:
    if isinstance(error, msgspec.ValidationError):
        return _explain_validation(error)
    if isinstance(error, msgspec.DecodeError | UnicodeError):
        return InvalidMessage(str(error))
    if isinstance(error, RecursionError):
        return InvalidMessage("JSON is nested too deeply")
    raise error


def _explain_validation(error: msgspec.ValidationError) -> InvalidMessage:
    text = str(error)
    reason, _, path = text.rpartition(" - at `") if text.endswith("`") else (text, "", "$")
    if not reason:  # A reason that ends with a quoted word, and the place is the whole message.
        reason, path = text, "$"
    path = path.removesuffix("`")
    if isinstance(error.__cause__, InvalidPart):
        return InvalidMessage.of(error.__cause__.errors, path)
    return InvalidMessage(reason, path)
