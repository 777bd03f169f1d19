"""`BoltAPI`: where an application declares its endpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.defaults import make_authentication, make_guards
from django_bolt.auth.guards import BaseGuard
from django_bolt.compression import Compression, make_compression
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.parameters import ParameterPlan, locate, plan_parameters
from django_bolt.endpoints.routing import PathPattern, Router, parse_path
from django_bolt.exceptions import InvalidHandler, InvalidPath

__all__ = ["BoltAPI", "Endpoint"]

Handler = Callable[..., Coroutine[Any, Any, Any]]
H = TypeVar("H", bound=Handler)
Authentications = Sequence[BaseAuthentication | type[BaseAuthentication]]
Guards = Sequence[BaseGuard | type[BaseGuard]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A handler with all that is known about it.

    Attributes:
        pattern: Its path.
        handler: The function.
        parameters: How to call it.
        auth: Its authentications; None takes those of the settings.
        guards: Its guards; None takes those of the settings.
        compression: Its wishes for permessage-deflate; False is none, None takes those of the settings.
        name: A name for it; by default that of the function.
        location: Where it is, as ``module.function (file:line)``.
    """

    pattern: PathPattern
    handler: Handler
    parameters: ParameterPlan
    auth: tuple[BaseAuthentication, ...] | None
    guards: tuple[BaseGuard, ...] | None
    compression: Compression | Literal[False] | None
    name: str
    location: str

    def wished_compression(self) -> Compression | None:
        """Return what to wish of permessage-deflate; None to have none."""
        return bolt_settings().compression if self.compression is None else self.compression or None

    @property
    def path(self) -> str:
        """The path as declared."""
        return self.pattern.text


class BoltAPI:
    """A set of WebSocket endpoints.

    An ``api.py`` in the project package or in an app holds one, and is found by itself::

        api = BoltAPI()

        @api.websocket("/ws/echo")
        async def echo(websocket: WebSocket):
            await websocket.accept()
            async for message in websocket:
                await websocket.send(message)

    Args:
        auth: Authentications, as instances or classes, of the endpoints that name none; None takes those of
            the settings, ``[]`` is none.
        guards: Guards likewise.
        prefix: Put before every path, such as ``/chat``; it may have parameters.

    Raises:
        TypeError: An authentication or guard is neither.
        InvalidPath: The prefix does not start with a slash, or ends with one.
    """

    def __init__(
        self, *, auth: Authentications | None = None, guards: Guards | None = None, prefix: str = ""
    ) -> None:
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise InvalidPath(f"Prefix {prefix!r} must start with '/' and not end with it")
        self._auth = None if auth is None else make_authentication(auth)
        self._guards = None if guards is None else make_guards(guards)
        self._prefix = prefix
        self._router: Router[Endpoint] = Router()
        self._endpoints: list[Endpoint] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._prefix or '/'} with {len(self._endpoints)} endpoints>"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints in the order of their declaration."""
        return tuple(self._endpoints)

    def websocket(
        self,
        path: str,
        *,
        auth: Authentications | None = None,
        guards: Guards | None = None,
        compression: bool | Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Callable[[H], H]:
        """Declare the handler of a path.

        The handler is an ``async def``. Its parameter annotated `WebSocket`, else its first one, takes the
        connection; those named in the path take path parameters; all others take query parameters, converted
        by their annotation.

        Args:
            path: As in ``/ws/room/{room_id}``; ``{rest:path}`` at the end takes slashes too.
            auth: Authentications as instances or classes; None takes those of the API, ``[]`` is none.
            guards: Guards likewise.
            compression: permessage-deflate for this endpoint: False for none, True for the defaults, a mapping of
                options as in ``BOLT["COMPRESSION"]``; None takes what the settings say.
            name: A name for the endpoint; by default that of the function.

        Returns:
            A decorator that returns the handler unchanged.

        Raises:
            InvalidPath: The path cannot be served.
            InvalidHandler: The function, or its signature, cannot work.
            EndpointCollision: The API has an endpoint on that path already.
            TypeError: An authentication or guard is neither an instance nor a class of one.
            ValueError: An option of compression is unknown or out of range.
        """
        wishes: Compression | Literal[False] | None = None
        if compression is not None:
            wishes = make_compression(compression) or False
        endpoint_auth = self._auth if auth is None else make_authentication(auth)
        endpoint_guards = self._guards if guards is None else make_guards(guards)

        def register(handler: H) -> H:
            _require_coroutine_function(handler)
            pattern = parse_path(_join(self._prefix, path), locate(handler))
            endpoint = Endpoint(
                pattern=pattern,
                handler=handler,
                parameters=plan_parameters(handler, pattern.names),
                auth=endpoint_auth,
                guards=endpoint_guards,
                compression=wishes,
                name=name or handler.__name__,
                location=locate(handler),
            )
            self._router.add(endpoint)
            self._endpoints.append(endpoint)
            return handler

        return register


def _join(prefix: str, path: str) -> str:
    """Put the prefix before a path; one without a slash is left as it is, for the error to name."""
    return prefix + path if path.startswith("/") else path


def _require_coroutine_function(handler: Any) -> None:
    # Before Python 3.12 a callable object or a functools.partial has no place and name to show in messages,
    # so only functions and methods are taken.
    if (inspect.isfunction(handler) or inspect.ismethod(handler)) and inspect.iscoroutinefunction(handler):
        return
    found = "a class" if inspect.isclass(handler) else "not one"
    raise InvalidHandler(f"{locate(handler)}: the handler must be an 'async def' function; this is {found}")
