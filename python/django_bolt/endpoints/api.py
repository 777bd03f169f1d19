"""`BoltAPI`: where an application declares its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar, Union

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.defaults import make_authentication, make_guards
from django_bolt.auth.guards import BaseGuard
from django_bolt.compression import Compression, make_compression
from django_bolt.endpoints.dependencies.depends import check_dependencies
from django_bolt.endpoints.endpoint import Endpoint
from django_bolt.endpoints.handlers import adapt_handler, connection_first
from django_bolt.endpoints.parameters import locate, plan_parameters
from django_bolt.endpoints.routing import Router, parse_path, require_path
from django_bolt.endpoints.standing import plan_topics
from django_bolt.exceptions import InvalidPath

__all__ = ["BoltAPI"]

H = TypeVar("H", bound=Callable[..., Any])
Authentications = Sequence[BaseAuthentication | type[BaseAuthentication]]
# Not with |, which combines guards.
Guards = Sequence[Union[BaseGuard, type[BaseGuard]]]  # noqa: UP007


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
        dependencies: What runs before the handler of every endpoint, as ``[Depends(function)]``, for what it does
            or refuses.
        prefix: Put before every path, such as ``/chat``; it may have parameters.

    Raises:
        TypeError: An authentication or guard is neither, an entry of the dependencies is no `Depends`.
        InvalidPath: The prefix does not start with a slash, or ends with one.
    """

    def __init__(
        self,
        *,
        auth: Authentications | None = None,
        guards: Guards | None = None,
        dependencies: Sequence[Any] = (),
        prefix: str = "",
    ) -> None:
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise InvalidPath(f"Prefix {prefix!r} must start with '/' and not end with it")
        self._auth = None if auth is None else make_authentication(auth)
        self._guards = None if guards is None else make_guards(guards)
        self._dependencies = check_dependencies(dependencies)
        self._prefix = prefix
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """For tests: functions that run in place of those in `Depends`, from the next connection on."""
        self._router: Router[Endpoint] = Router()
        self._endpoints: list[Endpoint] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._prefix or '/'} with {len(self._endpoints)} endpoints>"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints in the order of their declaration."""
        return tuple(self._endpoints)

    def websocket(  # noqa: PLR0913 - every option by its name
        self,
        path: str,
        *,
        auth: Authentications | None = None,
        guards: Guards | None = None,
        dependencies: Sequence[Any] = (),
        subscribe: str | Sequence[str] = (),
        compression: bool | Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Callable[[H], H]:
        """Declare the handler of a path.

        The handler is an ``async def``, or a ``def``, which runs in a thread and is given a `SyncWebSocket`. Its
        parameter annotated `WebSocket` or `SyncWebSocket`, else its first one, takes the connection; those named in
        the path take path parameters; those marked by `Header`, `Cookie` or `Depends` take these; all others take
        query parameters. All are converted by their annotation.

        Or it is a class, with ``on_connect`` in place of the function, and a method for each type of message.

        Args:
            path: As in ``/ws/room/{room_id}``; ``{rest:path}`` at the end takes slashes too.
            auth: Authentications as instances or classes; None takes those of the API, ``[]`` is none.
            guards: Guards likewise.
            dependencies: What runs before the handler, as ``[Depends(function)]``, after those of the API.
            subscribe: Topics and patterns that each connection is subscribed to from `accept` on, with path
                parameters in braces: ``"room:{room_id}"``.
            compression: permessage-deflate for this endpoint: False for none, True for the defaults, a mapping of
                options as in ``BOLT["COMPRESSION"]``; None takes what the settings say.
            name: A name for the endpoint; by default that of the function.

        Returns:
            A decorator that returns the handler unchanged.

        Raises:
            InvalidPath: The path cannot be served, or is none.
            InvalidHandler: The function, or its signature, cannot work.
            EndpointCollision: The API has an endpoint on that path already.
            TypeError: An authentication or guard is neither an instance nor a class of one, an entry of the
                dependencies is no `Depends`, or what should be a list is none.
            ValueError: An option of compression is unknown or out of range.
        """
        require_path(path)
        wishes: Compression | Literal[False] | None = None
        if compression is not None:
            wishes = make_compression(compression) or False
        endpoint_auth = self._auth if auth is None else make_authentication(auth)
        endpoint_guards = self._guards if guards is None else make_guards(guards)
        before = self._dependencies + check_dependencies(dependencies)

        def register(handler: H) -> H:
            adapted = adapt_handler(handler)
            pattern = parse_path(_join(self._prefix, path), locate(handler))
            plan = partial(
                plan_parameters,
                adapted.signature,
                pattern.names,
                skip_first=adapted.skip_first,
                dependencies=before,
            )
            parameters = plan()
            endpoint = Endpoint(
                pattern=pattern,
                handler=connection_first(adapted, parameters),
                parameters=parameters,
                replan=plan,
                overrides=self.dependency_overrides,
                auth=endpoint_auth,
                guards=endpoint_guards,
                topics=plan_topics(subscribe, pattern.names, locate(handler)),
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
