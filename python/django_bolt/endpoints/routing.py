"""From the path of a request to an endpoint.

Paths are compared segment by segment, after each segment was percent-decoded by itself, so that an encoded
slash stays inside its segment. A static segment wins over a parameter, a parameter over a rest of the path. A
slash at the end counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from django_bolt.exceptions import EndpointCollision, InvalidPath

__all__ = ["Match", "PathPattern", "Router", "parse_path", "require_path"]

_CONVERTERS = ("str", "path")
_DJANGO_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_PARAMETER = None  # Stands for a parameter among the segments of a pattern.


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path as an endpoint declares it.

    Attributes:
        text: The path as declared.
        segments: Its segments; None for a parameter.
        names: Names of the parameters, in order.
        takes_rest: Whether the last parameter takes the rest of the path, slashes included.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    takes_rest: bool


def require_path(path: Any) -> None:
    """Check that a decorator was given a path, and not, for want of parentheses, the handler itself.

    Raises:
        InvalidPath: It was not.
    """
    if not isinstance(path, str):
        name = getattr(path, "__qualname__", None) or type(path).__qualname__
        raise InvalidPath(f'websocket() takes a path, as in @api.websocket("/ws/chat"), not {name}')


def parse_path(path: str, location: str) -> PathPattern:
    """Read a path such as ``/room/{room_id}`` or ``/files/{rest:path}``.

    Args:
        path: The path, not percent-encoded.
        location: Where its handler is, for the text of the error.

    Raises:
        InvalidPath: The path cannot be served.
    """
    try:
        return _parse(path)
    except ValueError as error:
        raise InvalidPath(f"Path {path!r} of {location}: {error}") from None


def _parse(path: str) -> PathPattern:
    if not path.startswith("/"):
        raise ValueError("it must start with '/'")
    if set(path) & set("?#%"):
        raise ValueError("it must not contain '?', '#' or '%'; write it without percent-encoding")
    if found := _DJANGO_PARAMETER.search(path):
        raise ValueError(
            f"{found[0]!r} is of Django's URLs; write '{{{found[1]}}}', and annotate the parameter of the handler"
        )
    segments: list[str | None] = []
    names: list[str] = []
    converters: list[str] = []
    for segment in path[1:].split("/"):
        if "{" not in segment and "}" not in segment:
            segments.append(segment)
            continue
        name, converter = _parse_parameter(segment)
        segments.append(_PARAMETER)
        names.append(name)
        converters.append(converter)
    _check_parameters(segments, names, converters)
    return PathPattern(path, tuple(segments), tuple(names), "path" in converters)


def _parse_parameter(segment: str) -> tuple[str, str]:
    inner = segment[1:-1]
    if segment[0] != "{" or segment[-1] != "}" or "{" in inner or "}" in inner:
        raise ValueError(f"a parameter must be a whole segment, as in '{{name}}', but there is {segment!r}")
    name, colon, converter = inner.partition(":")
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name for a parameter")
    if colon and converter not in _CONVERTERS:
        raise ValueError(
            f"unknown converter {converter!r} in {segment!r}: only 'path' has a meaning in a path; "
            f"for a type, annotate the parameter {name!r} of the handler"
        )
    return name, converter or "str"


def _check_parameters(segments: list[str | None], names: list[str], converters: list[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the parameter {twice[0]!r} occurs twice")
    if "path" in converters[:-1] or ("path" in converters and segments[-1] is not _PARAMETER):
        raise ValueError("a parameter with ':path' must be the last segment")


class Routable(Protocol):
    """What the router must know of an endpoint."""

    @property
    def pattern(self) -> PathPattern:
        """The path."""

    @property
    def location(self) -> str:
        """Where the handler is, for messages."""


E = TypeVar("E", bound=Routable)


class Match(NamedTuple, Generic[E]):
    """An endpoint and the text of its path parameters, percent-decoded."""

    endpoint: E
    path_params: dict[str, str]


class _Node(Generic[E]):
    """What may follow one prefix of segments."""

    __slots__ = ("children", "endpoint", "parameter", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[E]] = {}
        self.parameter: _Node[E] | None = None
        self.endpoint: E | None = None
        self.rest: E | None = None


class Router(Generic[E]):
    """The endpoints of a site by their paths."""

    def __init__(self) -> None:
        self._root: _Node[E] = _Node()
        self._static: dict[str, E] = {}

    @classmethod
    def of(cls, endpoints: Iterable[E]) -> Router[E]:
        """Make a router with endpoints.

        Raises:
            EndpointCollision: Two of them have one path.
        """
        router = cls()
        for endpoint in endpoints:
            router.add(endpoint)
        return router

    def add(self, endpoint: E) -> None:
        """Add an endpoint.

        Raises:
            EndpointCollision: Another one has a path of the same shape, whatever its parameters are called.
        """
        pattern = endpoint.pattern
        node = self._root
        for segment in pattern.segments[:-1] if pattern.takes_rest else pattern.segments:
            node = _descend(node, segment)
        slot = "rest" if pattern.takes_rest else "endpoint"
        present: E | None = getattr(node, slot)
        if present is not None:
            raise EndpointCollision(pattern.text, present.location, endpoint.location)
        setattr(node, slot, endpoint)
        if not pattern.names:
            self._static[pattern.text] = endpoint

    def match(self, path: str) -> Match[E] | None:
        """Find the endpoint of a path.

        Args:
            path: As sent: percent-encoded and without the query.

        Returns:
            The endpoint with its parameters; None if there is none, or if the path is not UTF-8.
        """
        endpoint = self._static.get(path)
        if endpoint is not None:
            return Match(endpoint, {})
        segments = _decode(path)
        if segments is None:
            return None
        return next(_walk(self._root, segments, ()), None)


def _descend(node: _Node[E], segment: str | None) -> _Node[E]:
    if segment is not None:
        return node.children.setdefault(segment, _Node())
    if node.parameter is None:
        node.parameter = _Node()
    return node.parameter


def _decode(path: str) -> list[str] | None:
    if not path.startswith("/"):
        return None
    try:
        return [
            unquote_to_bytes(segment).decode() if "%" in segment else segment
            for segment in path[1:].split("/")
        ]
    except UnicodeError:
        return None


def _walk(node: _Node[E], segments: list[str], values: tuple[str, ...]) -> Iterator[Match[E]]:
    """Yield what matches, best first; the depth is that of the declared paths, not of the request's."""
    if not segments:
        if node.endpoint is not None:
            yield _found(node.endpoint, values)
        return
    head, tail = segments[0], segments[1:]
    if head in node.children:
        yield from _walk(node.children[head], tail, values)
    if node.parameter is not None and head:
        yield from _walk(node.parameter, tail, (*values, head))
    rest = "/".join(segments) if node.rest is not None else ""
    if node.rest is not None and rest:
        yield _found(node.rest, (*values, rest))


def _found(endpoint: E, values: tuple[str, ...]) -> Match[E]:
    return Match(endpoint, dict(zip(endpoint.pattern.names, values, strict=True)))
