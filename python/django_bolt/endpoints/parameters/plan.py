"""From the signature of a handler to a plan of its arguments.

Signatures are read once, when an endpoint is registered: the handler's, those of its dependencies, and theirs.
What cannot work fails there, with the line. At the opening handshake only conversion and calls are left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django_bolt.endpoints.dependencies.calls import Runner
from django_bolt.endpoints.parameters.fields import Group, Parameter
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidParameters, ParameterError

__all__ = ["CallPlan", "DependencyPlan", "ParameterPlan"]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """The arguments of one function.

    Attributes:
        websocket: Keyword that takes the connection; None where it goes first, or nowhere.
        parameters: What comes from the request.
        extra: Names of path parameters that only ``**kwargs`` takes.
        needs: Keywords that take dependencies, each with the place of the dependency in `ParameterPlan`.
    """

    websocket: str | None = None
    parameters: tuple[Parameter | Group, ...] = ()
    extra: tuple[str, ...] = ()
    needs: tuple[tuple[str, int], ...] = ()

    def read(self, websocket: WebSocket, errors: list[ParameterError]) -> dict[str, Any]:
        """Convert the parameters of a request; one that it does not carry is left to its default."""
        arguments: dict[str, Any] = {name: websocket.path_params[name] for name in self.extra}
        for parameter in self.parameters:
            parameter.read(websocket, arguments, errors)
        return arguments

    def fill(self, arguments: dict[str, Any], results: list[Any]) -> None:
        """Add the results of dependencies to the arguments."""
        for name, place in self.needs:
            arguments[name] = results[place]


@dataclass(frozen=True, slots=True)
class DependencyPlan:
    """How to run a dependency.

    Attributes:
        call: The function.
        arguments: Its arguments.
        run: Calls it with them.
        yields: Whether it is a generator.
    """

    call: Callable[..., Any]
    arguments: CallPlan
    run: Runner
    yields: bool


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """How to call a handler.

    Attributes:
        handler: Its arguments.
        dependencies: What runs before it, each after those that it needs.
        has_cleanup: Whether something is left to run after it.
    """

    handler: CallPlan
    dependencies: tuple[DependencyPlan, ...] = ()
    has_cleanup: bool = field(init=False)

    def __post_init__(self) -> None:
        has_cleanup = any(dependency.yields for dependency in self.dependencies)
        object.__setattr__(self, "has_cleanup", has_cleanup)

    def gather(self, websocket: WebSocket) -> list[dict[str, Any]]:
        """Convert all parameters of a request, before anything is called with them.

        Returns:
            The arguments of each dependency, and last those of the handler.

        Raises:
            InvalidParameters: Parameters are missing or do not convert; it names each of them.
        """
        errors: list[ParameterError] = []
        gathered = [dependency.arguments.read(websocket, errors) for dependency in self.dependencies]
        gathered.append(self.handler.read(websocket, errors))
        if errors:
            raise InvalidParameters([error for i, error in enumerate(errors) if error not in errors[:i]])
        return gathered
