"""From the signature of a handler to its arguments.

The signature is read once, when the endpoint is registered; what cannot work fails there, with the line of
the handler. At the opening handshake only conversion is left, which msgspec does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidHandler, InvalidParameters, ParameterError

if TYPE_CHECKING:
    from django.http import QueryDict

__all__ = ["Parameter", "ParameterPlan", "locate", "plan_parameters"]

_SCALARS = (str, int, float, bool, UUID, date, datetime, time, timedelta, Decimal, NoneType)
_SUPPORTED = (
    "str, int, float, bool, UUID, date, datetime, time, timedelta, Decimal, Enum, Literal, X | None, list[X]"
)
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handler.

    Attributes:
        name: Its name, in the signature and in the request.
        source: ``"path"`` or ``"query"``.
        type: What its text is converted to.
        required: Whether the request must carry it.
        repeated: Whether it takes every value of a repeated query key.
    """

    name: str
    source: Literal["path", "query"]
    type: Any
    required: bool
    repeated: bool


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """How to call a handler.

    Attributes:
        websocket: Keyword that takes the connection; None where it goes first.
        parameters: The parameters of the request.
        extra: Names of path parameters that only ``**kwargs`` takes.
    """

    websocket: str | None
    parameters: tuple[Parameter, ...]
    extra: tuple[str, ...]

    @property
    def reads_request(self) -> bool:
        """Whether there is anything to convert."""
        return bool(self.parameters or self.extra)

    @property
    def reads_query(self) -> bool:
        """Whether a parameter comes from the query string."""
        return any(parameter.source == "query" for parameter in self.parameters)

    def convert(self, path_params: Mapping[str, str], query_params: QueryDict | None) -> dict[str, Any]:
        """Convert the parameters of one request.

        Returns:
            Keyword arguments; a parameter that the request does not carry is left to its default.

        Raises:
            InvalidParameters: Parameters are missing or do not convert; it names each of them.
        """
        arguments: dict[str, Any] = {name: path_params[name] for name in self.extra}
        errors: list[ParameterError] = []
        for parameter in self.parameters:
            text = _find(parameter, path_params, query_params)
            if text is _ABSENT:
                if parameter.required:
                    errors.append(_error(parameter, "Missing"))
                continue
            try:
                arguments[parameter.name] = _convert(parameter, text)
            except ValueError as error:
                errors.append(_error(parameter, str(error)))
        if errors:
            raise InvalidParameters(errors)
        return arguments


def _find(parameter: Parameter, path_params: Mapping[str, str], query_params: QueryDict | None) -> Any:
    if parameter.source == "path":
        return path_params[parameter.name]
    if query_params is None or parameter.name not in query_params:
        return _ABSENT
    if parameter.repeated:
        return query_params.getlist(parameter.name)
    return query_params[parameter.name]


def _convert(parameter: Parameter, text: Any) -> Any:
    if parameter.type is str:
        return text
    return msgspec.convert(text, parameter.type, strict=False)


def _error(parameter: Parameter, message: str) -> ParameterError:
    return {"parameter": parameter.name, "in": parameter.source, "message": message}


def locate(handler: Callable[..., Any]) -> str:
    """Return where a function is: ``module.qualname (file:line)``."""
    function = inspect.unwrap(handler)
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def plan_parameters(
    handler: Callable[..., Any], path_names: tuple[str, ...], *, skip_first: bool = False
) -> ParameterPlan:
    """Read the signature of a handler.

    Args:
        handler: The function. The parameter annotated `WebSocket`, else the first one, takes the connection.
        path_names: Names of the parameters in the path; all others come from the query string.
        skip_first: Whether the first parameter is ``self`` and given otherwise.

    Raises:
        InvalidHandler: The signature cannot work; the text names the line.
    """
    try:
        return _plan(handler, path_names, skip_first)
    except _UnsuitableError as error:
        raise InvalidHandler(f"{locate(handler)}: {error}") from None


class _UnsuitableError(Exception):
    """The signature cannot work; the text lacks the place."""


def _plan(handler: Callable[..., Any], path_names: tuple[str, ...], skip_first: bool) -> ParameterPlan:
    signature = dict(list(inspect.signature(handler).parameters.items())[skip_first:])
    hints = _type_hints(handler)
    websocket = _websocket_name(signature, hints, path_names)
    parameters = []
    for position, (name, declared) in enumerate(signature.items()):
        if declared.kind is inspect.Parameter.VAR_POSITIONAL:
            raise _UnsuitableError(f"*{name} cannot be filled; name the parameters")
        if declared.kind is inspect.Parameter.VAR_KEYWORD or (name == websocket and position == 0):
            continue
        if declared.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise _UnsuitableError(f"parameter {name!r} is positional-only; arguments are passed by name")
        if name != websocket:
            parameters.append(_parameter(declared, hints.get(name, str), name in path_names))
    goes_first = signature[websocket].kind is not inspect.Parameter.KEYWORD_ONLY and websocket == next(
        iter(signature)
    )
    return ParameterPlan(None if goes_first else websocket, tuple(parameters), _extra(signature, path_names))


def _extra(signature: Mapping[str, inspect.Parameter], path_names: tuple[str, ...]) -> tuple[str, ...]:
    missing = tuple(name for name in path_names if name not in signature)
    takes_any = any(declared.kind is inspect.Parameter.VAR_KEYWORD for declared in signature.values())
    if missing and not takes_any:
        raise _UnsuitableError(f"the path has the parameter {missing[0]!r}, which the handler does not take")
    return missing


def _type_hints(handler: Callable[..., Any]) -> dict[str, Any]:
    """Resolve annotations; that of the return value is left out, because nothing here needs it."""
    function: Any = inspect.unwrap(handler)
    try:
        annotations = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
        holder = SimpleNamespace(__annotations__=annotations)
        return get_type_hints(holder, globalns=function.__globals__, include_extras=True)
    except Exception as error:
        raise _UnsuitableError(
            f"its annotations cannot be resolved ({type(error).__name__}: {error}); "
            "what they name must be importable at run time, not under TYPE_CHECKING or inside a function"
        ) from None


def _websocket_name(
    signature: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], path_names: tuple[str, ...]
) -> str:
    annotated = [
        name for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, WebSocket)
    ]
    if len(annotated) > 1:
        raise _UnsuitableError(f"more than one parameter is annotated WebSocket: {', '.join(annotated)}")
    if annotated:
        return annotated[0]
    first = next(iter(signature), None)
    if first is None or signature[first].kind in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise _UnsuitableError("it must take the WebSocket as its first parameter")
    if first in path_names or hints.get(first, Any) is not Any:
        raise _UnsuitableError(f"its first parameter must be the WebSocket, but is {first!r}")
    return first


def _parameter(declared: inspect.Parameter, hint: Any, in_path: bool) -> Parameter:
    _check_type(declared.name, hint)
    repeated = _is_list(hint)
    if repeated and in_path:
        raise _UnsuitableError(f"parameter {declared.name!r} is in the path and cannot be a list")
    required = declared.default is inspect.Parameter.empty
    return Parameter(declared.name, "path" if in_path else "query", hint, required, repeated)


def _check_type(name: str, hint: Any) -> None:
    if not _is_supported(hint, allow_list=True):
        raise _UnsuitableError(
            f"parameter {name!r} has the annotation {_shown(hint)}; supported are {_SUPPORTED}"
        )
    try:
        msgspec.json.Decoder(hint)
    except (TypeError, ValueError) as error:
        raise _UnsuitableError(f"parameter {name!r} has the annotation {_shown(hint)}: {error}") from None


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


def _is_list(hint: Any) -> bool:
    if get_origin(hint) is list:
        return True
    if get_origin(hint) in (Annotated, Union, UnionType):
        return any(_is_list(argument) for argument in get_args(hint))
    return False


def _shown(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
