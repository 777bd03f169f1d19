"""Fixtures for pytest: test clients that are open during a test and closed after it.

pytest finds them where the package is installed. Nothing of Django or of the project is imported before one is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

try:
    from pytest_asyncio import fixture as asyncio_fixture
except ImportError:
    asyncio_fixture = pytest.fixture  # type: ignore[assignment] # which the other extends

if TYPE_CHECKING:
    from django_bolt.testing import AsyncTestClient, TestClient

    Opener = Callable[..., TestClient]
    AsyncOpener = Callable[..., Coroutine[Any, Any, AsyncTestClient]]

__all__ = ["async_bolt_client", "async_bolt_client_for", "bolt_client", "bolt_client_for"]

DATABASE_FIXTURES = ("db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback")
"""Fixtures of pytest-django that give a test its database."""


@pytest.fixture
def bolt_client_for(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Return a function that opens a `TestClient`, with the arguments of that class."""
    from django_bolt.testing import TestClient

    _prepare_database(request)
    with ExitStack() as stack:
        yield lambda *apis, **options: stack.enter_context(TestClient(*apis, **options))


@pytest.fixture
def bolt_client(bolt_client_for: Opener) -> TestClient:
    """Return an open `TestClient` of the project's APIs."""
    return bolt_client_for()


@pytest.fixture
def async_bolt_client_for(request: pytest.FixtureRequest) -> AsyncOpener:
    """Return a coroutine function that opens an `AsyncTestClient`, with the arguments of that class."""
    _prepare_database(request)
    opener: AsyncOpener = _of_its_loop(request, "opener")
    return opener


@pytest.fixture
def async_bolt_client(request: pytest.FixtureRequest) -> AsyncTestClient:
    """Return an open `AsyncTestClient` of the project's APIs."""
    _prepare_database(request)
    client: AsyncTestClient = _of_its_loop(request, "client")
    return client


def _prepare_database(request: pytest.FixtureRequest) -> None:
    """Set up the database of the test first, so that it outlives the client."""
    for name in DATABASE_FIXTURES:
        if name in request.fixturenames:
            request.getfixturevalue(name)


# ── on the loop of the test ──────────────────────────────────────────────────────────────────────────────────────
#
# A client must be opened on the loop that its test will run on. Whoever runs the test, pytest-asyncio or anyio, runs
# the asynchronous fixtures that are its own; each has a pair of them.


def _of_its_loop(request: pytest.FixtureRequest, what: str) -> Any:
    if "anyio_backend" in request.fixturenames:
        return request.getfixturevalue(f"_anyio_bolt_{what}")
    if request.config.pluginmanager.has_plugin("asyncio"):
        return request.getfixturevalue(f"_asyncio_bolt_{what}")
    raise pytest.UsageError(f"{request.fixturename} needs pytest-asyncio, or anyio and its marker")


@asynccontextmanager
async def _opening() -> AsyncIterator[AsyncOpener]:
    from django_bolt.testing import AsyncTestClient

    async with AsyncExitStack() as stack:
        yield lambda *apis, **options: stack.enter_async_context(AsyncTestClient(*apis, **options))


@asyncio_fixture
async def _asyncio_bolt_opener() -> AsyncIterator[AsyncOpener]:
    async with _opening() as opener:
        yield opener


@asyncio_fixture
async def _asyncio_bolt_client(_asyncio_bolt_opener: AsyncOpener) -> AsyncTestClient:
    return await _asyncio_bolt_opener()


@pytest.fixture
async def _anyio_bolt_opener() -> AsyncIterator[AsyncOpener]:
    async with _opening() as opener:
        yield opener


@pytest.fixture
async def _anyio_bolt_client(_anyio_bolt_opener: AsyncOpener) -> AsyncTestClient:
    return await _anyio_bolt_opener()
