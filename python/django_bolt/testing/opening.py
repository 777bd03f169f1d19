"""What both test clients put into an opening handshake, and keep of its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from django_bolt import _core
from django_bolt.testing.connection import ClientConnection

__all__ = ["Headers", "Opening", "store_cookies"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The arguments of `websocket_connect`.

    Attributes:
        path: Path, with a query string or without.
        headers: Further header fields.
        cookies: Further cookies by name.
        subprotocols: Subprotocols to offer.
        compression: Whether to offer permessage-deflate.
        query: Query parameters by name, added to those of the path; a list repeats the name.
    """

    path: str
    headers: Headers | None = None
    cookies: Mapping[str, str] | None = None
    subprotocols: Sequence[str] = field(default=())
    compression: bool = False
    query: Mapping[str, Any] | None = None

    def connection(self, host: str, defaults: Mapping[str, str], jar: SimpleCookie) -> ClientConnection:
        """Return a connection that begins with this opening handshake.

        Args:
            host: Value of the ``Host`` header field, unless it is in `headers`.
            defaults: Header fields of the client, which those in `headers` replace.
            jar: Cookies of the client, which those in `cookies` replace.
        """
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers or ())
        named = {name.lower() for name, _ in pairs}
        pairs += [(name, value) for name, value in defaults.items() if name.lower() not in named]
        host = next((value for name, value in pairs if name.lower() == "host"), host)
        pairs = [(name, value) for name, value in pairs if name.lower() != "host"]
        if cookies := self._cookies(jar):
            pairs.append(("Cookie", cookies))
        target = self._target()
        protocol = _core.ClientProtocol(target, host, pairs, list(self.subprotocols), self.compression)
        return ClientConnection(target, protocol)

    def _target(self) -> str:
        if not self.query:
            return self.path
        return f"{self.path}{'&' if '?' in self.path else '?'}{urlencode(self.query, doseq=True)}"

    def _cookies(self, jar: SimpleCookie) -> str:
        cookies = {name: morsel.coded_value for name, morsel in jar.items()} | dict(self.cookies or {})
        return "; ".join(f"{name}={value}" for name, value in cookies.items())


def store_cookies(jar: SimpleCookie, connection: ClientConnection) -> None:
    """Take the cookies that the answer to an opening handshake sets, as Django's client does from a response."""
    for name, value in connection.response_headers:
        if name == "set-cookie":
            jar.load(value)
