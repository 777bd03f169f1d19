"""An identity provider: it signs tokens, and offers its public keys over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm


@lru_cache
def private_key(kind: str, number: int = 0) -> Any:
    """Return a private key of a kind: RS, ES or Ed; the same one each time."""
    if kind == "RS":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ES" else ed25519.Ed25519PrivateKey.generate()


def public_pem(key: Any) -> bytes:
    """Return the public key of a private one."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


class Provider:
    """Serves while it is entered.

    Attributes:
        keys: What it offers, by key id.
        fetches: How often it was asked.
        status: HTTP status of its answers.
        body: What it answers instead of the keys.
        gate: Answers wait until it is set.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fetches = 0
        self.status = 200
        self.body: bytes | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._private: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self._server.server_port}/keys"

    def add(self, key_id: str, kind: str = "RS", **members: Any) -> None:
        """Make a key and offer it, with further members."""
        key = self._private[key_id] = private_key(kind, len(self._private))
        algorithms: dict[str, Any] = {"RS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
        jwk = algorithms[kind].to_jwk(key.public_key(), as_dict=True)
        self.keys[key_id] = {**jwk, "kid": key_id, "use": "sig", **members}

    def sign(
        self,
        key_id: str,
        claims: dict[str, Any],
        algorithm: str = "RS256",
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """Sign a token."""
        return jwt.encode(claims, self._private[key_id], algorithm, {"kid": key_id, **(headers or {})})

    def public_pem(self, key_id: str) -> bytes:
        """Return a public key in PEM."""
        return public_pem(self._private[key_id])

    def _make_handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                provider.gate.wait()
                default = json.dumps({"keys": list(provider.keys.values())}).encode()
                body = default if provider.body is None else provider.body
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Be quiet."""

        return Handler
