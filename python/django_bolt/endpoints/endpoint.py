"""`Endpoint`: a path and what serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.guards import BaseGuard
from django_bolt.compression import Compression
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.handlers import Handler
from django_bolt.endpoints.parameters import ParameterPlan
from django_bolt.endpoints.routing import PathPattern

__all__ = ["Endpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A handler with all that is known about it.

    Attributes:
        pattern: Its path.
        handler: The coroutine function that serves a connection.
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
