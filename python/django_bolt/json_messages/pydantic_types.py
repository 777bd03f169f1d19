"""JSON messages from and into Pydantic's types.

Pydantic is optional: it is imported here only when a type of its own was met, which means that the application has
imported it already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache, partial
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from django_bolt.exceptions import InvalidMessage, MessageError
from django_bolt.json_messages.decoder import JsonDecoder, Message

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = [
    "Discriminator",
    "InvalidPart",
    "convert_part",
    "discriminator_of",
    "is_pydantic",
    "is_pydantic_value",
    "make_pydantic_decoder",
    "pydantic_to_json",
]

MAX_ERRORS = 100
"""Of more errors in one message only their number is told: making the list of a million takes seconds."""
_MAX_NAME = (
    64  # Characters; a longer key is not a field, and would be repeated in the path of each error in it.
)
_METADATA = ("pydantic", "pydantic_core", "annotated_types")


class Discriminator(NamedTuple):
    """The field that tells models of a union apart: its name, its key in a message, and all of its values."""

    name: str
    key: str
    values: tuple[Any, ...]


class InvalidPart(ValueError):  # noqa: N818 - never seen outside of the decoders
    """A part of a message does not fit; msgspec adds where it is.

    Args:
        errors: What is wrong, with paths that begin at the part.
    """

    def __init__(self, errors: list[MessageError]) -> None:
        super().__init__("invalid")
        self.errors = errors


def is_pydantic(type_: Any) -> bool:
    """Tell whether Pydantic must decode a type: one of its own, or one that is composed of such."""
    if "pydantic" not in sys.modules:
        return False
    if hasattr(type_, "__get_pydantic_core_schema__") or hasattr(type_, "__pydantic_validator__"):
        return True
    if get_origin(type_) is Literal:
        return False
    if get_origin(type_) is Annotated and any(map(_is_constraint, type_.__metadata__)):
        return True
    aliased = getattr(type_, "__value__", None) or getattr(type_, "__supertype__", None)
    return any(map(is_pydantic, get_args(type_))) or (aliased is not None and is_pydantic(aliased))


def _is_constraint(metadata: Any) -> bool:
    return type(metadata).__module__.partition(".")[0] in _METADATA


def is_pydantic_value(kind: type) -> bool:
    """Tell whether Pydantic must encode instances of a class."""
    return hasattr(kind, "__pydantic_serializer__") or kind.__module__.partition(".")[0] in _METADATA


def pydantic_to_json(value: Any) -> bytes:
    """Encode a value as Pydantic does: a model by its own ``model_dump_json``.

    Raises:
        TypeError: It has no JSON form.
    """
    from pydantic import BaseModel
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return value.model_dump_json().encode() if isinstance(value, BaseModel) else to_json(value)
    except PydanticSerializationError as error:
        raise TypeError(f"{type(value).__name__} cannot be sent as JSON: {error}") from None


def make_pydantic_decoder(type_: Any) -> JsonDecoder:
    """Make a decoder for a Pydantic type, or one composed of such.

    A union of models whose Literal field tells them apart is decoded by that field, so that errors are those of the
    one model that was meant.

    Raises:
        TypeError: No message could be decoded into the type.
    """
    adapter = _make_adapter(_discriminated(type_))
    return JsonDecoder(adapter.validate_json, _explain)


def _make_adapter(type_: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        adapter = TypeAdapter(type_)
        if not getattr(adapter, "pydantic_complete", True):  # Names in it are not defined, or not yet.
            adapter.rebuild(raise_errors=True)
    except (PydanticUserError, NameError) as error:
        raise TypeError(str(error).partition("\n")[0]) from None
    return adapter


_cached_adapter = lru_cache(maxsize=256)(_make_adapter)


def convert_part(type_: Any, data: Any) -> Any:
    """Convert a part of a message, decoded already, into a Pydantic type.

    Raises:
        InvalidPart: It does not fit.
    """
    from pydantic import ValidationError

    text = msgspec.json.encode(data)  # Pydantic takes JSON more liberally than Python's own values.
    try:
        return _cached_adapter(type_).validate_json(text)
    except ValidationError as error:
        raise InvalidPart(_errors_of(error, lambda: data)) from None


def _explain(error: Exception, message: Message) -> InvalidMessage:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        raise error
    return InvalidMessage.of(_errors_of(error, partial(_decode_plainly, message)))


def _decode_plainly(message: Message) -> Any:
    try:
        return msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _errors_of(error: ValidationError, get_data: Callable[[], Any]) -> list[MessageError]:
    if error.error_count() > MAX_ERRORS:
        return [{"path": "$", "reason": f"{error.error_count()} errors, too many to list"}]
    data = get_data()
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"path": _path(entry["loc"], data, is_missing=entry["type"] == "missing"), "reason": entry["msg"]}
        for entry in listed
    ]


def _path(place: Sequence[int | str], data: Any, *, is_missing: bool) -> str:
    """Return a place as a path into the message.

    Pydantic puts names of union members, ``[key]`` and the like between the keys; what is not in the message is left
    out, but for the field whose being missing is the error.
    """
    path = "$"
    for number, step in enumerate(place, 1):
        if _has(data, step):
            data = data[step]
        elif not (is_missing and number == len(place)):
            continue
        path += _shown(step)
    return path


def _has(data: Any, step: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, dict) and step in data


def _shown(step: int | str) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() and len(step) <= _MAX_NAME else "[...]"


def _discriminated(type_: Any) -> Any:
    from pydantic import Field

    if get_origin(type_) not in (Union, UnionType):
        return type_
    found = discriminator_of(get_args(type_))
    return type_ if found is None else Annotated[type_, Field(discriminator=found.name)]


def discriminator_of(models: Iterable[Any]) -> Discriminator | None:
    """Find the field that tells models apart: in each of them a Literal with values of its own."""
    fields: list[dict[str, Any]] = [getattr(model, "model_fields", {}) for model in models]
    for name in fields[0]:
        declared = [entry[name] for entry in fields if name in entry]
        literals = [field for field in declared if get_origin(field.annotation) is Literal]
        values = [_plain(value) for field in literals for value in get_args(field.annotation)]
        if len(literals) == len(fields) and len(set(values)) == len(values):
            return Discriminator(name, literals[0].alias or name, tuple(values))
    return None


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
