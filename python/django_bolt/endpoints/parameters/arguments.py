"""What one argument of a signature is: the connection, a parameter of the request, a group, a dependency."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_args, get_origin

from django_bolt.endpoints.dependencies.depends import Dependency, Depends
from django_bolt.endpoints.parameters.fields import Group, Parameter
from django_bolt.endpoints.parameters.groups import Member, is_group, members_of
from django_bolt.endpoints.parameters.signatures import Argument, UnsuitableError, require_keyword
from django_bolt.endpoints.parameters.sources import Path, Query, Source, find_by
from django_bolt.endpoints.parameters.types import check_mark, check_type, is_list, show, simplify
from django_bolt.endpoints.sync_websocket import SyncWebSocket
from django_bolt.endpoints.websocket import WebSocket

__all__ = ["find_connection", "read_argument"]

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def find_connection(
    arguments: Sequence[Argument], path_names: tuple[str, ...], *, needed: bool
) -> Argument | None:
    """Return the argument that takes the connection: the one annotated `WebSocket`, or the first.

    Args:
        arguments: Those of the signature.
        path_names: Names of the path parameters.
        needed: Whether there must be one; if not, only the annotation makes one.

    Raises:
        UnsuitableError: There are several, or none where one is needed.
    """
    annotated = [argument for argument in arguments if _is_websocket(argument.hint)]
    if len(annotated) > 1:
        names = ", ".join(argument.name for argument in annotated)
        raise UnsuitableError(f"more than one parameter is annotated WebSocket: {names}")
    if annotated or not needed:
        return annotated[0] if annotated else None
    first = arguments[0] if arguments else None
    if first is None or first.kind in _VARIABLE:
        raise UnsuitableError("it must take the WebSocket as its first parameter")
    _refuse_self(first)
    if first.name in path_names or first.hint not in (None, Any) or not first.is_required:
        annotated_as = "" if first.hint is None else f", annotated {show(first.hint)}"
        raise UnsuitableError(
            f"its first parameter must be the WebSocket, but is {first.name!r}{annotated_as}"
        )
    return first


def read_argument(argument: Argument, path_names: tuple[str, ...]) -> Parameter | Group | Dependency:
    """Read an argument that is not the connection; a dependency is returned with its function.

    Raises:
        UnsuitableError: Nothing can fill it.
    """
    require_keyword(argument)
    _refuse_self(argument)
    if argument.hint is None and argument.name == "websocket":
        raise UnsuitableError("parameter 'websocket' needs the annotation WebSocket to take the connection")
    said = _said_of(argument)
    if said.dependency is not None:
        return _dependency(said)
    default: Source = Path() if argument.name in path_names else Query()
    kind = simplify(said.hint)
    if is_group(kind):
        return _group(said, kind, said.source or default, argument.is_required, path_names)
    source = said.source or default
    return _parameter(said, source, source.key_of(argument.name), argument.is_required, path_names)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the annotation, or the default, says of a parameter."""

    name: str
    shown: str
    hint: Any
    source: Source | None
    dependency: Dependency | None


def _said_of(argument: Argument) -> _Said:
    shown = f"parameter {argument.name!r}"
    said = _split(argument.name, shown, str if argument.hint is None else argument.hint)
    if isinstance(argument.default, Source):
        kind = type(argument.default).__name__
        raise UnsuitableError(f"{shown} has {kind}() as its default; write Annotated[..., {kind}()]")
    check_mark(shown, argument.default)
    if isinstance(argument.default, Dependency):
        if said.source or said.dependency:
            raise UnsuitableError(f"{shown} has a second mark besides the Depends() that is its default")
        return replace(said, dependency=argument.default)
    if said.dependency and not argument.is_required:
        raise UnsuitableError(f"{shown} has a default besides Depends(); leave one of them out")
    return said


def _split(name: str, shown: str, hint: Any) -> _Said:
    """Take the marks out of ``Annotated``, which msgspec does not know, and put constraints in."""
    while hasattr(hint, "__value__"):  # `type X = Annotated[...]`
        hint = hint.__value__
    if get_origin(hint) is not Annotated:
        return _Said(name, shown, hint, None, None)
    marks = [_made(mark, shown) for mark in hint.__metadata__]
    for mark in marks:
        check_mark(shown, mark)
    ours = [mark for mark in marks if isinstance(mark, Source | Dependency)]
    if len(ours) > 1:
        raise UnsuitableError(f"{shown} has more than one of Path, Query, Header, Cookie and Depends")
    hint, theirs = get_args(hint)[0], [mark for mark in marks if mark not in ours]
    if theirs:
        hint = Annotated[hint, *theirs]
    match ours:
        case [Dependency() as dependency]:
            return _Said(name, shown, hint, None, dependency)
        case [Source() as source]:
            return _Said(name, shown, hint, source, None)
    return _Said(name, shown, hint, None, None)


def _made(mark: Any, shown: str) -> Any:
    if mark is Depends:
        raise UnsuitableError(f"{shown} is annotated with Depends; write Depends(function)")
    return mark() if isinstance(mark, type) and issubclass(mark, Source) else mark


def _dependency(said: _Said) -> Dependency:
    assert said.dependency is not None
    if said.dependency.call is not None:
        return said.dependency
    if isinstance(said.hint, type):
        return replace(said.dependency, call=said.hint)
    raise UnsuitableError(f"{said.shown} has Depends() without a function, and its annotation is no class")


def _group(said: _Said, kind: Any, source: Source, required: bool, path_names: tuple[str, ...]) -> Group:
    if isinstance(source, Path):
        raise UnsuitableError(f"{said.shown} is in the path and cannot be a {kind.__name__}")
    if source.alias or source.meta():
        raise UnsuitableError(f"{said.shown} is a {kind.__name__}: name and constrain its fields instead")
    members = tuple(_member(kind, member, source, path_names) for member in members_of(kind))
    return Group(said.name, source.name, kind, members, required)


def _member(kind: Any, member: Member, source: Source, path_names: tuple[str, ...]) -> Parameter:
    shown = f"field {member.name!r} of {kind.__name__}"
    said = _split(member.name, shown, member.hint)
    if said.dependency:
        raise UnsuitableError(f"{shown} cannot be a dependency")
    source = said.source or source
    key = source.key_of(member.name) if member.key == member.name or source.alias else member.key
    return _parameter(said, source, key, member.required, path_names)


def _parameter(
    said: _Said, source: Source, key: str, required: bool, path_names: tuple[str, ...]
) -> Parameter:
    if isinstance(source, Path) and key not in path_names:
        raise UnsuitableError(f"{said.shown} is marked Path(), but the path has no parameter {key!r}")
    hint = simplify(said.hint)
    try:
        meta = source.meta()
    except (TypeError, ValueError, re.error) as error:
        raise UnsuitableError(f"{said.shown}: {error}") from None
    if meta is not None:
        hint = Annotated[hint, meta]
    check_type(said.shown, hint)
    find = find_by(source.name, repeated=is_list(hint))
    if find is None:
        place = "in the path" if isinstance(source, Path) else f"a {source.name}"
        raise UnsuitableError(f"{said.shown} is {place} and cannot be a list")
    return Parameter(said.name, key, source.name, hint, required, find)


def _refuse_self(argument: Argument) -> None:
    if argument.name == "self" and argument.hint is None:
        raise UnsuitableError(
            "it takes 'self', which nothing fills: give a method of an instance, or decorate the class"
        )


def _is_websocket(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, WebSocket | SyncWebSocket)
