"""Values to JSON, by msgspec, with what Django and Pydantic bring."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.functional import Promise

from django_bolt.json_messages.pydantic_types import is_pydantic_value, pydantic_to_json

__all__ = ["encode_json"]


def _encode_unknown(value: Any) -> Any:
    # By its class and not by isinstance, which would evaluate a lazy object: that may be a query.
    kind = type(value)
    if issubclass(kind, Promise):
        return str(value)
    for builtin in (str, int, float):
        if issubclass(kind, builtin):  # SafeString, for one; msgspec takes only the built-in class itself.
            return builtin(value) if builtin is not str else str.__str__(value)
    if is_pydantic_value(kind):
        return msgspec.Raw(pydantic_to_json(value))
    raise TypeError(f"{kind.__name__} cannot be sent as JSON{_advice(kind)}")


def _advice(kind: type) -> str:
    from django.db.models import Model, QuerySet

    if issubclass(kind, QuerySet):
        return ": fetch its rows first, as in [row async for row in queryset.values()]"
    if issubclass(kind, Model):
        return ": send those of its fields that the client may see"
    if hasattr(kind, "__await__"):
        return ": await it first"
    return ""


_encoder = msgspec.json.Encoder(enc_hook=_encode_unknown)


def encode_json(data: Any) -> bytes:
    """Encode data as JSON in UTF-8; Django's lazy strings are taken for their text.

    Raises:
        TypeError: Some of it has no JSON form.
    """
    return _encoder.encode(data)
