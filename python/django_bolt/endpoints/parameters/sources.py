"""Where in an opening handshake a parameter comes from, and what may be said of it in ``Annotated``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec

from django_bolt.endpoints.websocket import WebSocket

__all__ = ["ABSENT", "Cookie", "Finder", "Header", "Path", "Query", "Source", "SourceName", "find_by"]

SourceName = Literal["path", "query", "header", "cookie"]
Finder = Callable[[WebSocket, str], Any]
ABSENT: Any = object()
"""What a `Finder` returns where the request does not carry the parameter."""

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "description")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Base of the marks in ``Annotated[int, Query(ge=1)]``.

    Args:
        alias: Name in the request; by default that of the parameter.
        gt: The number is greater than this.
        ge: It is this or greater.
        lt: It is less than this.
        le: It is this or less.
        multiple_of: It is a multiple of this.
        min_length: Text has so many characters at least, a list so many items.
        max_length: Or at most.
        pattern: A regular expression that is found in the text.
        description: What it is for.
    """

    name: ClassVar[SourceName]

    alias: str | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    description: str | None = None

    def key_of(self, name: str) -> str:
        """Return what a parameter is called in the request."""
        return self.alias or name

    def meta(self) -> msgspec.Meta | None:
        """Return the constraints; None where there is none.

        Raises:
            TypeError: One is of the wrong type.
            ValueError: Two of them contradict each other.
            re.error: The pattern is none.
        """
        said = {name: getattr(self, name) for name in _CONSTRAINTS if getattr(self, name) is not None}
        return msgspec.Meta(**said) if said else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Source):
    """A parameter of the path, as in ``Annotated[int, Path(ge=1)]``; see `Source` for the arguments."""

    name = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Source):
    """A parameter of the query string, as in ``Annotated[int, Query(ge=1)]``; see `Source`."""

    name = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Source):
    """A header field, as in ``Annotated[str, Header()]``; see `Source` for the other arguments.

    Args:
        convert_underscores: Whether ``x_request_id`` is the field ``x-request-id``, where there is no alias.
    """

    name = "header"

    convert_underscores: bool = True

    def key_of(self, name: str) -> str:
        """Return the name of the header field, in lower case."""
        if self.alias is None and self.convert_underscores:
            name = name.replace("_", "-")
        return (self.alias or name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie(Source):
    """A cookie, as in ``Annotated[str, Cookie()]``; see `Source` for the arguments."""

    name = "cookie"


def find_by(source: SourceName, *, repeated: bool) -> Finder | None:
    """Return how to look a parameter up; None where a source has no repeated ones."""
    return _FINDERS.get((source, repeated))


def _in_path(websocket: WebSocket, key: str) -> Any:
    return websocket.path_params[key]


def _in_query(websocket: WebSocket, key: str) -> Any:
    return websocket.query_params.get(key, ABSENT)


def _all_in_query(websocket: WebSocket, key: str) -> Any:
    return websocket.query_params.getlist(key) or ABSENT


def _in_headers(websocket: WebSocket, key: str) -> Any:
    return websocket.headers.get(key, ABSENT)


def _all_in_headers(websocket: WebSocket, key: str) -> Any:
    return websocket.header_values(key) or ABSENT


def _in_cookies(websocket: WebSocket, key: str) -> Any:
    return websocket.cookies.get(key, ABSENT)


_FINDERS: dict[tuple[SourceName, bool], Finder] = {
    ("path", False): _in_path,
    ("query", False): _in_query,
    ("query", True): _all_in_query,
    ("header", False): _in_headers,
    ("header", True): _all_in_headers,
    ("cookie", False): _in_cookies,
}
