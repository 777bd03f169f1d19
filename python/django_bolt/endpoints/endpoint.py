"""`Endpoint`: a path and what serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.guards import BaseGuard
from django_bolt.compression import Compression
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.handlers import Handler
from django_bolt.endpoints.parameters import ParameterPlan
from django_bolt.endpoints.routing import PathPattern
from django_bolt.endpoints.standing import StandingTopics

__all__ = ["Endpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A handler with all that is known about it.

    Attributes:
        pattern: Its path.
        handler: The coroutine function that serves a connection.
        parameters: How to call it.
        replan: Makes another plan, with ``overrides`` of dependencies.
        overrides: Functions that run in place of dependencies, as they are at a connection.
        auth: Its authentications; None takes those of the settings.
        guards: Its guards; None takes those of the settings.
        topics: What its connections are subscribed to from the start.
        compression: Its wishes for permessage-deflate; False is none, None takes those of the settings.
        name: A name for it; by default that of the function.
        location: Where it is, as ``module.function (file:line)``.
    """

    pattern: PathPattern
    handler: Handler
    parameters: ParameterPlan
    replan: Callable[..., ParameterPlan]
    overrides: Mapping[Callable[..., Any], Callable[..., Any]]
    auth: tuple[BaseAuthentication, ...] | None
    guards: tuple[BaseGuard, ...] | None
    topics: StandingTopics
    compression: Compression | Literal[False] | None
    name: str
    location: str

    def plan(self) -> ParameterPlan:
        """Return how to call the handler now.

        Raises:
            InvalidHandler: A function in `overrides` cannot run in place of a dependency.
        """
        return self.replan(overrides=self.overrides) if self.overrides else self.parameters

    def wished_compression(self) -> Compression | None:
        """Return what to wish of permessage-deflate; None to have none."""
        return bolt_settings().compression if self.compression is None else self.compression or None

    @property
    def path(self) -> str:
        """The path as declared."""
        return self.pattern.text
