"""The signature of a function, read once: names, annotations, defaults, and where it is."""

from __future__ import annotations

import functools
import inspect
import linecache
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, get_type_hints

__all__ = ["Argument", "UnsuitableError", "locate", "read_signature", "require_keyword"]


class UnsuitableError(Exception):
    """A signature cannot work; the text lacks the place."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a function.

    Attributes:
        name: Its name.
        hint: Its annotation, resolved; None where it has none.
        default: Its default, or `inspect.Parameter.empty`.
        kind: Its kind, as `inspect.Parameter` has it.
    """

    name: str
    hint: Any
    default: Any
    kind: Any

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def read_signature(call: Callable[..., Any], *, skip_first: bool = False) -> tuple[Argument, ...]:
    """Read the signature of a function, a class or another callable.

    What a `functools.partial` has filled by keyword is left out: it is not the client's to change.

    Args:
        call: The callable.
        skip_first: Whether to leave out the first parameter, ``self``.

    Raises:
        UnsuitableError: It has none, or its annotations do not resolve.
    """
    try:
        parameters = list(inspect.signature(call).parameters.values())[skip_first:]
    except (TypeError, ValueError) as error:
        raise UnsuitableError(f"its signature cannot be read ({error})") from None
    hints = _type_hints(call) if parameters else {}
    filled = call.keywords if isinstance(call, functools.partial) else {}
    return tuple(
        Argument(parameter.name, hints.get(parameter.name), parameter.default, parameter.kind)
        for parameter in parameters
        if parameter.name not in filled
    )


def require_keyword(argument: Argument) -> None:
    """Check that an argument can be passed by name.

    Raises:
        UnsuitableError: It is positional-only.
    """
    if argument.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise UnsuitableError(f"parameter {argument.name!r} is positional-only; arguments are passed by name")


def locate(call: Callable[..., Any]) -> str:
    """Return where a callable is: ``module.qualname (file:line)``, so much of it as is known."""
    function = _function_of(call)
    named = call if inspect.isclass(call) else function
    name = f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', repr(named))}"
    if inspect.isclass(call):
        return name + _place_of_class(call)
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def _place_of_class(cls: type) -> str:
    """Return where a class begins; `inspect.findsource` would parse the whole file, and for each class again."""
    own = [value.__code__ for value in vars(cls).values() if inspect.isfunction(value)]
    written = [
        code for code in own if not code.co_filename.startswith("<")
    ]  # not the __init__ of a dataclass
    if not written:
        return ""
    first = min(written, key=lambda code: code.co_firstlineno)
    lines = linecache.getlines(first.co_filename)[: first.co_firstlineno]
    statement = re.compile(rf"\s*class\s+{re.escape(cls.__name__)}\b")
    found = [number for number, line in enumerate(lines, 1) if statement.match(line)]
    return f" ({first.co_filename}:{found[-1] if found else first.co_firstlineno})"


def _function_of(call: Any) -> Any:
    """Return the function that a callable runs; a class that has none in Python is returned itself.

    Of what cannot be called the class is returned, for the message that says so.
    """
    if isinstance(call, functools.partial):
        return _function_of(call.func)
    if inspect.isclass(call):
        return call.__init__ if inspect.isfunction(call.__init__) else call
    if inspect.isroutine(call):
        return inspect.unwrap(call)
    return type(call).__call__ if callable(call) else type(call)


def _type_hints(call: Callable[..., Any]) -> dict[str, Any]:
    """Resolve annotations; that of the return value is left out, because nothing here needs it."""
    function: Any = _function_of(call)
    try:
        if inspect.isclass(function):
            return get_type_hints(function, include_extras=True)
        annotations = getattr(function, "__annotations__", {})  # which built-in functions have not
        named = {name: hint for name, hint in annotations.items() if name != "return"}
        names = getattr(function, "__globals__", {})
        return get_type_hints(SimpleNamespace(__annotations__=named), globalns=names, include_extras=True)
    except Exception as error:
        raise UnsuitableError(
            f"its annotations cannot be resolved ({type(error).__name__}: {error}); "
            "what they name must be importable at run time, not under TYPE_CHECKING or inside a function"
        ) from None
