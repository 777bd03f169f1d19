"""Pages behind trusted proxies: views see the client and the scheme that endpoints see.

In the place of uvicorn's own middleware, which believes nothing on a Unix socket and does not know ``Forwarded``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django_bolt.endpoints.headers import join_headers
from django_bolt.endpoints.proxies import client_behind_proxies, scheme_behind_proxies

__all__ = ["BehindProxies"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class BehindProxies:
    """An ASGI application behind ``BOLT["TRUSTED_PROXIES"]``.

    Args:
        application: Gets each request with ``client`` and ``scheme`` as the proxies say.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _believe(scope)
        await self.application(scope, receive, send)


def _believe(scope: Scope) -> None:
    headers = join_headers(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    )
    peer = scope.get("client")
    scope["client"] = client_behind_proxies(peer, headers)
    scope["scheme"] = scheme_behind_proxies(peer, headers) or scope["scheme"]
