"""The live test project, projects of a test's own, and a reactor behind TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from django_bolt.server.tls import Certificate
from tests.core.loopback import Handler, Server, echo
from tests.live_server import live_servers
from tests.server.encrypted import Encrypted, Serve, make_certificate
from tests.server.own_site import OwnSite

__all__ = ["certificate", "live_servers", "own_site", "serve", "trust"]


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[OwnSite]:
    """A Django project that the test may change."""
    site = OwnSite(tmp_path)
    yield site
    site.end()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A server's certificate."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "chain")


@pytest.fixture(scope="session")
def trust(certificate: Certificate) -> ssl.SSLContext:
    """What a client needs to verify it."""
    return ssl.create_default_context(cafile=certificate.chain)


@pytest.fixture
async def serve(certificate: Certificate, trust: ssl.SSLContext) -> AsyncIterator[Serve]:
    """Return a function that starts a reactor behind TLS with a handler and settings; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler = echo, **settings: Any) -> Encrypted:
            encrypted = Encrypted(Server(handler), certificate, trust, **settings)
            stack.push_async_callback(encrypted.stop)
            await encrypted.start()
            return encrypted

        yield start
