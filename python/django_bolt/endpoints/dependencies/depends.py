"""`Depends`: the mark of an argument that a function provides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from django_bolt.exceptions import InvalidHandler

__all__ = ["Dependency", "Depends", "check_dependencies"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """What `Depends` leaves in a signature.

    Attributes:
        call: The function; None takes the class of the annotation.
        use_cache: Whether all who depend on it share one result for each connection.
    """

    call: Callable[..., Any] | None
    use_cache: bool


@overload
def Depends(*, use_cache: bool = True) -> Any: ...
@overload
def Depends(
    dependency: Callable[..., AsyncGenerator[T, Any] | AsyncIterator[T]], *, use_cache: bool = True
) -> T: ...
@overload
def Depends(
    dependency: Callable[..., Generator[T, Any, Any] | Iterator[T]], *, use_cache: bool = True
) -> T: ...
@overload
def Depends(dependency: Callable[..., Awaitable[T]], *, use_cache: bool = True) -> T: ...
@overload
def Depends(dependency: Callable[..., T], *, use_cache: bool = True) -> T: ...
def Depends(dependency: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:  # noqa: N802
    """Mark an argument that another function provides.

    In ``Annotated[Database, Depends(get_database)]``, or as a default, ``database: Database =
    Depends(get_database)``. The function may take the `WebSocket`, parameters of the request and dependencies of
    its own. A plain ``def`` runs in a thread, ``async def`` on the event loop. What a generator yields is the
    argument; the rest of it runs when the connection has ended.

    Args:
        dependency: A function, a class or another callable; without one, the class of the annotation.
        use_cache: Whether all who depend on it for one connection share one result.

    Raises:
        InvalidHandler: It cannot be called, perhaps because it was called here already. It is a TypeError.
    """
    if dependency is not None and not callable(dependency):
        raise InvalidHandler(
            f"Depends() takes a function, not {type(dependency).__name__}; write Depends(function), not "
            "Depends(function())"
        )
    return Dependency(dependency, use_cache)


def check_dependencies(entries: Iterable[Any]) -> tuple[Dependency, ...]:
    """Return what stands in ``dependencies=[Depends(function)]``.

    Raises:
        InvalidHandler: An entry is no `Depends`, or has no function, or they are in no list. It is a TypeError.
    """
    if isinstance(entries, Dependency) or not isinstance(entries, Iterable):
        raise InvalidHandler(f"dependencies take a list, [Depends(function)], not {_name_of(entries)}")
    dependencies = tuple(entries)
    for entry in dependencies:
        if not isinstance(entry, Dependency) or entry.call is None:
            raise InvalidHandler(f"dependencies take Depends(function), not {_name_of(entry)}")
    return dependencies


def _name_of(entry: Any) -> str:
    if isinstance(entry, Dependency):
        return "Depends()"
    return getattr(entry, "__qualname__", None) or type(entry).__name__
