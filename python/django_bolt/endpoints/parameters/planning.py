"""Reads the signature of a handler, and those of its dependencies, into a plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django_bolt.endpoints.dependencies.calls import runner_of, yields
from django_bolt.endpoints.dependencies.depends import Dependency
from django_bolt.endpoints.parameters.arguments import find_connection, read_argument
from django_bolt.endpoints.parameters.fields import Group, Parameter
from django_bolt.endpoints.parameters.plan import CallPlan, DependencyPlan, ParameterPlan
from django_bolt.endpoints.parameters.signatures import (
    Argument,
    UnsuitableError,
    locate,
    read_signature,
    require_keyword,
)
from django_bolt.endpoints.sync_websocket import SyncWebSocket
from django_bolt.exceptions import InvalidHandler

__all__ = ["plan_parameters"]

Call = Callable[..., Any]


def plan_parameters(
    handler: Call,
    path_names: tuple[str, ...],
    *,
    skip_first: bool = False,
    dependencies: Sequence[Dependency] = (),
    overrides: Mapping[Call, Call] | None = None,
) -> ParameterPlan:
    """Read the signature of a handler and of all that it depends on.

    Args:
        handler: The function. The parameter annotated `WebSocket`, else the first one, takes the connection.
        path_names: Names of the parameters in the path.
        skip_first: Whether it is a method that is not bound: its ``self`` is filled otherwise, and it need not
            take the connection.
        dependencies: What runs before it without giving it a value.
        overrides: Functions to run in place of dependencies.

    Raises:
        InvalidHandler: A signature cannot work; the text names the line.
    """
    return _Planner(path_names, overrides or {}).plan(handler, skip_first, dependencies)


class _Planner:
    """Plans one handler.

    Args:
        path_names: Names of the parameters in the path.
        overrides: Functions to run in place of dependencies.
    """

    def __init__(self, path_names: tuple[str, ...], overrides: Mapping[Any, Call]) -> None:
        self._path_names = path_names
        self._overrides = overrides
        self._planned: list[DependencyPlan] = []
        self._places: dict[Hashable, int] = {}
        self._pending: list[Call] = []

    def plan(self, handler: Call, skip_first: bool, dependencies: Sequence[Dependency]) -> ParameterPlan:
        self._pending.append(handler)
        try:
            for dependency in dependencies:
                self._place_of(dependency)
            arguments = read_signature(handler, skip_first=skip_first)
            connection = find_connection(arguments, self._path_names, needed=not skip_first)
            plan = self._plan_call(arguments, connection, goes_first=not skip_first)
            plan = replace(plan, extra=self._extra_of(plan, arguments))
        except UnsuitableError as error:
            raise self._invalid(error) from None
        return ParameterPlan(plan, tuple(self._planned))

    def _place_of(self, dependency: Dependency) -> int:
        """Return the place of a dependency among those that are planned, and plan it if it has none."""
        if dependency.call is None:
            raise UnsuitableError("Depends() without a function has no annotation to take a class from")
        call = self._overrides.get(_key_of(dependency.call), dependency.call)
        key = _key_of(call)
        if dependency.use_cache and key in self._places:
            return self._places[key]
        if call in self._pending:
            circle = " -> ".join(_name_of(entry) for entry in [*self._pending, call])
            raise UnsuitableError(f"dependencies go in a circle: {circle}")
        self._planned.append(self._plan_dependency(call))
        place = len(self._planned) - 1
        if dependency.use_cache:
            self._places[key] = place
        return place

    def _plan_dependency(self, call: Call) -> DependencyPlan:
        self._pending.append(call)
        try:
            arguments = read_signature(call)
            connection = find_connection(arguments, self._path_names, needed=False)
            if connection is not None and connection.hint is SyncWebSocket:
                raise UnsuitableError(
                    "a dependency takes the WebSocket; only 'def' handlers get a SyncWebSocket"
                )
            plan = self._plan_call(arguments, connection, goes_first=False)
        except UnsuitableError as error:
            raise self._invalid(error) from None
        self._pending.pop()
        return DependencyPlan(call, plan, runner_of(call), yields(call))

    def _plan_call(
        self, arguments: Sequence[Argument], connection: Argument | None, *, goes_first: bool
    ) -> CallPlan:
        parameters: list[Parameter | Group] = []
        needs: list[tuple[str, int]] = []
        is_first = goes_first and _is_first(connection, arguments)
        if connection and not is_first:
            require_keyword(connection)
        for argument in arguments:
            if argument.kind is inspect.Parameter.VAR_POSITIONAL:
                raise UnsuitableError(f"*{argument.name} cannot be filled; name the parameters")
            if argument is connection or argument.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            read = read_argument(argument, self._path_names)
            if isinstance(read, Dependency):
                needs.append((argument.name, self._place_of(read)))
            else:
                parameters.append(read)
        keyword = connection.name if connection and not is_first else None
        return CallPlan(keyword, tuple(parameters), (), tuple(needs))

    def _extra_of(self, plan: CallPlan, arguments: Sequence[Argument]) -> tuple[str, ...]:
        """Return the path parameters that only ``**kwargs`` of the handler takes."""
        own = _keys_in_path(plan)
        if any(argument.kind is inspect.Parameter.VAR_KEYWORD for argument in arguments):
            return tuple(name for name in self._path_names if name not in own)
        if self._overrides:  # What runs in place of a dependency need not take what that takes.
            return ()
        taken = own.union(*(_keys_in_path(dependency.arguments) for dependency in self._planned))
        for name in self._path_names:
            if name not in taken:
                raise UnsuitableError(f"the path has the parameter {name!r}, which the handler does not take")
        return ()

    def _invalid(self, error: UnsuitableError) -> InvalidHandler:
        *needing, call = self._pending
        chain = "".join(f"; a dependency of {locate(entry)}" for entry in reversed(needing))
        return InvalidHandler(f"{locate(call)}: {error}{chain}")


def _is_first(connection: Argument | None, arguments: Sequence[Argument]) -> bool:
    return (
        connection is not None
        and connection is arguments[0]
        and connection.kind is not inspect.Parameter.KEYWORD_ONLY
    )


def _keys_in_path(plan: CallPlan) -> set[str]:
    single = [entry for entry in plan.parameters if isinstance(entry, Parameter)]
    grouped = [member for entry in plan.parameters if isinstance(entry, Group) for member in entry.members]
    return {parameter.key for parameter in single + grouped if parameter.source == "path"}


def _key_of(call: Call) -> Hashable:
    """Return what a dependency is shared by; a callable that is not hashable, a dataclass say, by its identity."""
    try:
        hash(call)
    except TypeError:
        return id(call)
    return call


def _name_of(call: Call) -> str:
    return getattr(call, "__qualname__", None) or type(call).__qualname__
