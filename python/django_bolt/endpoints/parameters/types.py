"""Which annotations a parameter may have, and the conversion of its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

import msgspec

from django_bolt.endpoints.parameters.signatures import UnsuitableError

__all__ = ["check_mark", "check_type", "convert", "is_list", "show", "simplify"]

_SCALARS = (str, int, float, bool, UUID, date, datetime, time, timedelta, Decimal)
_SUPPORTED = (
    "str, int, float, bool, UUID, date, datetime, time, timedelta, Decimal, Enum, Literal, X | None, list[X], "
    "and a msgspec.Struct, dataclass or TypedDict of these"
)
_FOREIGN = ("annotated_types", "fastapi", "pydantic")
_INTEGER = re.compile(r"-?[0-9]+")


def simplify(hint: Any) -> Any:
    """Return an annotation without names for types, and without None.

    None is what a parameter is by default, but no text of a request means it: msgspec would take ``null``.
    """
    while isinstance(hint, NewType) or hasattr(hint, "__value__"):  # which a TypeAliasType has
        hint = hint.__supertype__ if isinstance(hint, NewType) else hint.__value__
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[simplify(arguments[0]), *hint.__metadata__]
    if origin in (Union, UnionType):
        return Union[tuple(simplify(argument) for argument in arguments if argument is not NoneType)]  # noqa: UP007
    if origin is Literal and None in arguments:
        return Literal[tuple(argument for argument in arguments if argument is not None)]
    if origin is list:
        return list[simplify(arguments[0])]  # type: ignore[misc]
    return hint


def check_mark(name: str, mark: Any) -> None:
    """Check that a mark in ``Annotated``, or a default, is not of a package whose constraints msgspec does not know.

    Raises:
        UnsuitableError: It would be passed over in silence; the text names the parameter and what would be right.
    """
    kind = mark if isinstance(mark, type) else type(mark)
    package = kind.__module__.partition(".")[0]
    if package in _FOREIGN:
        raise UnsuitableError(
            f"{name} has a mark of {package}, {kind.__name__}, which says nothing here: take Query, Header, Cookie, "
            "Path and Depends from django_bolt, and constraints from these or from msgspec.Meta"
        )


def check_type(name: str, hint: Any) -> None:
    """Check that text can be converted to an annotation that `simplify` has returned.

    Raises:
        UnsuitableError: It cannot; the text names the parameter and what would be right.
    """
    for mark in _marks_in(hint):
        check_mark(name, mark)
    if not _is_supported(hint, allow_list=True):
        raise UnsuitableError(f"{name} has the annotation {show(hint)}; supported are {_SUPPORTED}")
    try:
        msgspec.json.Decoder(hint)
    except (TypeError, ValueError) as error:
        raise UnsuitableError(f"{name} has the annotation {show(hint)}: {error}") from None


def _marks_in(hint: Any) -> Iterator[Any]:
    """Yield what stands in ``Annotated``, anywhere in an annotation."""
    if get_origin(hint) is Literal:
        return
    yield from getattr(hint, "__metadata__", ())
    for argument in get_args(hint):
        yield from _marks_in(argument)


def convert(text: Any, hint: Any) -> Any:
    """Convert text, or a list of texts, to an annotation that `check_type` has passed.

    msgspec's lax mode, without what nobody expects of it: ``1.0`` and ``1e3`` are no `int`, ``nan`` and ``inf``
    are no numbers.

    Raises:
        ValueError: It does not convert; the text is for the client.
    """
    if hint is str:
        return text
    value = msgspec.convert(text, hint, strict=False)
    if isinstance(text, list):
        for index, item in enumerate(text):
            _check_number(item, value[index], f" - at `$[{index}]`")
    else:
        _check_number(text, value)
    return value


def _check_number(text: str, value: Any, place: str = "") -> None:
    if type(value) is int and not _INTEGER.fullmatch(text):
        raise ValueError(f"Expected `int`, got `float`{place}")
    if type(value) is float and not isfinite(value):
        raise ValueError(f"Number out of range{place}")
    if type(value) is Decimal and not value.is_finite():
        raise ValueError(f"Number out of range{place}")


def is_list(hint: Any) -> bool:
    """Whether an annotation takes several values."""
    if get_origin(hint) is list:
        return True
    if get_origin(hint) in (Annotated, Union, UnionType):
        return any(is_list(argument) for argument in get_args(hint))
    return False


def show(hint: Any) -> str:
    """Return an annotation as it was written, nearly."""
    return hint.__qualname__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)


def _is_supported(hint: Any, *, allow_list: bool) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_supported(arguments[0], allow_list=allow_list)
    if origin in (Union, UnionType):
        return all(_is_supported(argument, allow_list=allow_list) for argument in arguments)
    if origin is list:
        return allow_list and _is_supported(arguments[0], allow_list=False)
    return hint in _SCALARS or (isinstance(hint, type) and issubclass(hint, Enum))
