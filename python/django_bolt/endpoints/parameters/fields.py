"""What a handler is given from a request: single parameters, and groups of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django_bolt.endpoints.parameters.sources import ABSENT, Finder, SourceName
from django_bolt.endpoints.parameters.types import convert
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import ParameterError

__all__ = ["Group", "Parameter"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request.

    Attributes:
        name: Keyword that takes it.
        key: Its name in the request.
        source: Where it comes from.
        type: What its text is converted to.
        required: Whether the request must carry it.
        find: Looks it up.
    """

    name: str
    key: str
    source: SourceName
    type: Any
    required: bool
    find: Finder

    def read(self, websocket: WebSocket, arguments: dict[str, Any], errors: list[ParameterError]) -> None:
        """Convert it into an argument, or add an error; where it is absent the default is left to the function."""
        text = self.find(websocket, self.key)
        if text is not ABSENT:
            try:
                arguments[self.name] = convert(text, self.type)
            except ValueError as error:
                errors.append(self._error(str(error)))
        elif self.required:
            errors.append(self._error("Missing"))

    def _error(self, message: str) -> ParameterError:
        return {"parameter": self.key, "in": self.source, "message": message}


@dataclass(frozen=True, slots=True)
class Group:
    """Several parameters of a request in one object.

    Attributes:
        name: Keyword that takes it.
        source: Where its members come from.
        make: Called with the members that the request carries.
        members: The members.
        required: Whether it is made although the request carries none of them.
    """

    name: str
    source: SourceName
    make: Callable[..., Any]
    members: tuple[Parameter, ...]
    required: bool

    def read(self, websocket: WebSocket, arguments: dict[str, Any], errors: list[ParameterError]) -> None:
        """Convert its members and make the object, or add the errors of every member."""
        if not self.required and all(member.find(websocket, member.key) is ABSENT for member in self.members):
            return
        values: dict[str, Any] = {}
        wrong: list[ParameterError] = []
        for member in self.members:
            member.read(websocket, values, wrong)
        errors.extend(wrong)
        if wrong:
            return
        try:
            arguments[self.name] = self.make(**values)
        except ValueError as error:  # of a __post_init__ that checks members against each other
            errors.append({"parameter": self.name, "in": self.source, "message": str(error)})
