"""Structs, dataclasses and TypedDicts that gather several parameters of a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from django_bolt.endpoints.parameters.signatures import UnsuitableError

__all__ = ["Member", "is_group", "members_of"]


class Member(NamedTuple):
    """One field of a group: its name for the group and for the request, its annotation."""

    name: str
    key: str
    hint: Any
    required: bool


def is_group(hint: Any) -> bool:
    """Whether an annotation gathers several parameters."""
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind) or is_typeddict(kind)
    )


def members_of(kind: Any) -> list[Member]:
    """Return the fields of a group.

    Raises:
        UnsuitableError: Their annotations do not resolve.
    """
    try:
        return list(_read(kind))
    except (NameError, TypeError) as error:
        raise UnsuitableError(f"the annotations of {kind.__name__} cannot be resolved ({error})") from None


def _read(kind: Any) -> Iterator[Member]:
    if is_typeddict(kind):
        return _of_typed_dict(kind)
    return _of_dataclass(kind) if dataclasses.is_dataclass(kind) else _of_struct(kind)


def _of_struct(kind: Any) -> Iterator[Member]:
    for field in msgspec.structs.fields(kind):
        yield Member(field.name, field.encode_name, field.type, field.required)


def _of_dataclass(kind: Any) -> Iterator[Member]:
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if field.init:
            required = field.default is field.default_factory is dataclasses.MISSING
            yield Member(field.name, field.name, hints[field.name], required)


def _of_typed_dict(kind: Any) -> Iterator[Member]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        said = get_origin(hint)
        # Asked of the annotation too: the keys are wrong where annotations are strings, before Python 3.14.
        required = said is Required or (name in kind.__required_keys__ and said is not NotRequired)
        yield Member(name, name, get_args(hint)[0] if said in (Required, NotRequired) else hint, required)
