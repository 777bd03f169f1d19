"""What a guard is: it lets an authenticated, or an anonymous, client through to an endpoint or not."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from django_bolt.auth.calls import call

if TYPE_CHECKING:
    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["BaseGuard", "Both", "Either", "Negation", "make_guard"]


class _GuardType(type):
    """Lets guards be combined as classes too: ``IsStaff | IsSuperuser``."""

    def __and__(cls, other: BaseGuard | type[BaseGuard]) -> BaseGuard:
        return _combine(Both, cls, other)

    # Any, since in an annotation `BaseGuard | None` is a union of types still, and type checkers look here for it.
    def __or__(cls, other: Any) -> Any:
        combined = _combine(Either, cls, other)
        return super().__or__(other) if combined is NotImplemented else combined

    def __invert__(cls) -> BaseGuard:
        return Negation(make_guard(cls))


class BaseGuard(metaclass=_GuardType):
    """Base class of guards. ``&``, ``|`` and ``~`` combine them, as instances and as classes.

    Attributes:
        detail: Text for the client that is refused.
        needs_identity: Whether an anonymous client should be asked to authenticate (HTTP 401) where the
            endpoint has an authentication, instead of being refused (HTTP 403).
        follows_user: Whether to ask it again when the user's groups, permissions, `is_staff` or
            `is_superuser` change while connected.
    """

    detail: str = "Permission denied."
    needs_identity: bool = False
    follows_user: bool = False

    def has_permission(self, websocket: WebSocket) -> bool | Awaitable[bool]:
        """Return whether the client may use the endpoint.

        An ``async def`` runs on the event loop, a plain ``def`` in a thread, where it may use the ORM and
        ``websocket.user``; `never_blocks` marks one that needs no thread.

        Args:
            websocket: The connection, not yet accepted; its `context` holds what authentication found.
        """
        raise NotImplementedError(f"{type(self).__name__} must define has_permission()")

    async def refusing(self, websocket: WebSocket) -> BaseGuard | None:
        """Return the guard that refuses the client: this one, or a part of it. None lets the client through."""
        return None if await call(self.has_permission, websocket) else self

    def find_problems(self) -> Iterable[str]:
        """Say what the project lacks for this guard; asked by ``manage.py check``."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __and__(self, other: BaseGuard | type[BaseGuard]) -> BaseGuard:
        return _combine(Both, self, other)

    def __or__(self, other: BaseGuard | type[BaseGuard]) -> BaseGuard:
        return _combine(Either, self, other)

    def __invert__(self) -> BaseGuard:
        return Negation(self)


def make_guard(entry: Any) -> BaseGuard:
    """Return a guard given as an instance, or as a class that is called without arguments.

    Raises:
        TypeError: It is neither, or the class needs arguments.
    """
    made = entry() if isinstance(entry, type) else entry
    if not isinstance(made, BaseGuard):
        raise TypeError(f"{type(made).__name__} is no BaseGuard: give an instance or a class of it")
    return made


def _is_guard(entry: Any) -> bool:
    return isinstance(entry, BaseGuard) or (isinstance(entry, type) and issubclass(entry, BaseGuard))


class _Combination(BaseGuard):
    """Guards of which the answer is made."""

    sign = ""

    def __init__(self, *parts: BaseGuard) -> None:
        self.parts = parts
        self.follows_user = any(part.follows_user for part in parts)

    async def has_permission(self, websocket: WebSocket) -> bool:
        """Return what the parts make up."""
        return await self.refusing(websocket) is None

    def find_problems(self) -> Iterable[str]:
        """Return those of the parts."""
        return [problem for part in self.parts for problem in part.find_problems()]

    def __repr__(self) -> str:
        return f"({f' {self.sign} '.join(map(repr, self.parts))})"


def _combine(combination: type[_Combination], left: Any, right: Any) -> BaseGuard:
    """Combine two guards; NotImplemented, which Python asks for, if one of them is none."""
    if not (_is_guard(left) and _is_guard(right)):
        refused: BaseGuard = NotImplemented
        return refused
    return combination(make_guard(left), make_guard(right))


class Both(_Combination):
    """``a & b``: both must agree; the second is asked only if the first does."""

    sign = "&"

    async def refusing(self, websocket: WebSocket) -> BaseGuard | None:
        """Return the first part that refuses."""
        for part in self.parts:
            refusing = await part.refusing(websocket)
            if refusing is not None:
                return refusing
        return None


class Either(_Combination):
    """``a | b``: one must agree; the second is asked only if the first does not."""

    sign = "|"

    async def refusing(self, websocket: WebSocket) -> BaseGuard | None:
        """Return the part to blame if none agrees: one that an identity could satisfy comes first."""
        blamed: list[BaseGuard] = []
        for part in self.parts:
            refusing = await part.refusing(websocket)
            if refusing is None:
                return None
            blamed.append(refusing)
        return next((guard for guard in blamed if guard.needs_identity), blamed[0])


class Negation(_Combination):
    """``~a``: the other must refuse."""

    async def refusing(self, websocket: WebSocket) -> BaseGuard | None:
        """Return this guard if the other agrees."""
        return self if await self.parts[0].refusing(websocket) is None else None

    def __repr__(self) -> str:
        return f"~{self.parts[0]!r}"
