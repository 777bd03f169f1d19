"""Database connections of handlers: on a file of SQLite's, and on PostgreSQL, which restarts, where it is installed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.db import OperationalError, ProgrammingError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import override_settings

from django_bolt import BoltAPI, SyncWebSocket, WebSocket, database, thread_pool
from django_bolt.database import lend_connections, release_connections
from django_bolt.endpoints import blocking_calls
from django_bolt.testing import TestClient, WebSocketTestSession
from django_bolt.thread_pool import ThreadPool
from django_bolt.threads import handler_threads, job_threads, run_in_thread
from tests.postgresql import PostgreSQL

ALIAS = "extra"
TIMEOUT = 5.0

Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, django_db_blocker: Any) -> Iterator[Configure]:
    """Return a function that sets up the database `ALIAS`; it needs no transaction, as nothing is kept of it."""
    defaults = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "db.sqlite3"}

    def configure(**settings: Any) -> None:
        completed = connections.configure_settings(
            {"default": connections.settings["default"], ALIAS: settings}
        )
        monkeypatch.setitem(connections.settings, ALIAS, completed[ALIAS])

    def set_up(**settings: Any) -> None:
        configure(**(defaults | settings))

    for pool in (job_threads, handler_threads):
        pool.retire(TIMEOUT)
    monkeypatch.setattr(DatabaseWrapper, "is_usable", is_usable)
    with django_db_blocker.unblock():
        yield set_up
        for pool in (job_threads, handler_threads):
            pool.retire(TIMEOUT)
        if ALIAS in connections.settings:
            connections[ALIAS].close()
            del connections[ALIAS]


def is_usable(connection: Any) -> bool:
    """Look, as other databases' backends do; that of SQLite, which has no server to lose, just says yes."""
    try:
        connection.connection.execute("SELECT 1")
    except sqlite3.Error:
        return False
    return True


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads linger for a moment only."""
    monkeypatch.setattr(thread_pool, "LINGER_TIME", 0.02)
    monkeypatch.setattr(blocking_calls, "LINGER_TIME", 0.02)


@pytest.fixture
def thread() -> Iterator[ThreadPool]:
    """A pool of one thread."""
    pool = ThreadPool("test", lambda: 1)
    yield pool
    pool.retire(TIMEOUT)


@pytest.fixture
def made() -> Iterator[list[BaseDatabaseWrapper]]:
    """The connections that have been made during the test."""
    made: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if connection not in made:
            made.append(connection)

    connection_created.connect(note)
    yield made
    connection_created.disconnect(note)


def query() -> BaseDatabaseWrapper:
    """Ask the database something; returns the connection."""
    connection = connections[ALIAS]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    return connection


def run(thread: ThreadPool, function: Callable[[], Any]) -> Any:
    """Run a job in a thread."""
    return thread.submit(function).result(TIMEOUT)


class Row(models.Model):
    """Something to have many of."""

    class Meta:
        app_label = "tests"


def make_rows(count: int) -> None:
    """Make the table, with rows."""
    with connections[ALIAS].schema_editor() as editor:
        editor.create_model(Row)
    Row.objects.using(ALIAS).bulk_create(Row() for _ in range(count))


def table_names() -> list[str]:
    """Return the tables."""
    return connections[ALIAS].introspection.table_names()


def kill() -> None:
    """Break the connection of the thread, so that Django does not know."""
    connections[ALIAS].connection.close()


# ── around a job ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_is_closed_after_the_job(configure: Configure, thread: ThreadPool) -> None:
    configure()
    connection = run(thread, query)
    wait_until_released([connection])


def test_a_connection_is_kept_as_long_as_its_age_says(configure: Configure, thread: ThreadPool) -> None:
    configure(CONN_MAX_AGE=60)
    connection = run(thread, query)
    first = connection.connection
    assert first is not None
    assert run(thread, query).connection is first
    connection.close_at = time.monotonic()
    assert run(thread, query).connection is not first


def test_the_connections_of_a_thread_end_with_it(configure: Configure, thread: ThreadPool) -> None:
    configure(CONN_MAX_AGE=None)
    connection = run(thread, query)
    thread.retire(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    while connection.connection is not None and time.monotonic() < deadline:
        thread.retire(TIMEOUT)
    assert connection.connection is None


def test_a_database_in_memory_is_closed_with_the_thread_too(configure: Configure, thread: ThreadPool) -> None:
    configure(NAME="file:with_the_thread?mode=memory&cache=shared")
    raw = run(thread, lambda: query().connection)
    thread.retire(TIMEOUT)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        raw.execute("SELECT 1")


def test_a_kept_connection_that_is_dead_is_made_anew_before_the_next_query(
    configure: Configure, thread: ThreadPool
) -> None:
    configure(CONN_MAX_AGE=None)
    for _ in range(3):
        run(thread, query)
        run(thread, kill)


def test_a_transaction_left_open_is_rolled_back_and_said(
    configure: Configure, thread: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    configure(CONN_MAX_AGE=None)

    def leave_open() -> None:
        transaction.atomic(using=ALIAS).__enter__()
        connections[ALIAS].cursor().execute("CREATE TABLE half_done (id)")

    run(thread, leave_open)
    assert "'extra' was left open" in caplog.text
    assert not run(thread, query).in_atomic_block
    assert run(thread, table_names) == []


def test_a_transaction_left_open_on_a_connection_that_cannot_be_closed_is_not_gone_on_with(
    configure: Configure, thread: ThreadPool
) -> None:
    configure(CONN_MAX_AGE=None)

    def fail() -> None:
        raise OperationalError("the server is gone")

    def leave_open() -> BaseDatabaseWrapper:
        transaction.atomic(using=ALIAS).__enter__()
        connection = connections[ALIAS]
        connection._close = fail  # type: ignore[method-assign]
        return connection

    broken = run(thread, leave_open)
    assert not run(thread, query).in_atomic_block
    del broken._close
    run(thread, broken.connection.close)


def test_a_connection_that_cannot_even_be_closed_is_dropped(
    configure: Configure, thread: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    configure(CONN_MAX_AGE=None)
    connection = run(thread, query)

    def fail() -> None:
        raise ProgrammingError

    connection.close_if_unusable_or_obsolete = fail
    assert run(thread, query) is not connection
    assert "'extra' could not be closed, and is dropped" in caplog.text


def test_logged_queries_do_not_pile_up(configure: Configure, thread: ThreadPool) -> None:
    configure(CONN_MAX_AGE=None)

    def query_in_debug() -> int:
        connections[ALIAS].force_debug_cursor = True
        query()
        return len(connections[ALIAS].queries_log)

    assert [run(thread, query_in_debug) for _ in range(3)] == [1, 1, 1]


def test_inside_of_a_transaction_nothing_is_closed(configure: Configure) -> None:
    configure()
    with transaction.atomic(using=ALIAS):
        before = query().connection
        release_connections()
        assert query().connection is before


def test_lent_connections_are_used_and_left_alone(configure: Configure, thread: ThreadPool) -> None:
    configure()
    own = run(thread, query)
    lent = query()
    lent.inc_thread_sharing()
    before = lent.connection
    with lend_connections(lambda: {ALIAS: lent}):
        assert run(thread, query) is lent
        assert lent.connection is before
    lent.dec_thread_sharing()
    assert run(thread, query) is own


# ── calls of one task in a row ───────────────────────────────────────────────────────────────────────────


async def use() -> tuple[str, Any]:
    """Query from a thread; returns its name and the connection."""
    return await run_in_thread(lambda: (threading.current_thread().name, query().connection))


async def test_they_share_thread_and_connection(configure: Configure) -> None:
    configure()
    first = await use()
    assert [await use() for _ in range(5)] == [first] * 5


async def test_those_of_other_tasks_have_others(configure: Configure) -> None:
    configure()
    own = await use()
    other = await asyncio.create_task(use())
    assert other[0] != own[0]
    assert other[1] is not own[1]


async def test_the_connection_is_released_a_moment_after_the_last_one(
    configure: Configure, made: list[BaseDatabaseWrapper], brief: None
) -> None:
    configure()
    first = await use()
    await asyncio.to_thread(wait_until_released, made)
    assert (await use())[1] is not first[1]


async def test_where_no_other_thread_is_left_it_is_released_for_another_task(configure: Configure) -> None:
    configure()
    with override_settings(BOLT={"MAX_THREADS": 1}):
        first = await use()
        assert (await asyncio.create_task(use()))[1] is not first[1]


async def test_a_connection_that_breaks_between_them_fails_one_query(configure: Configure) -> None:
    configure()
    await use()
    await run_in_thread(kill)
    with pytest.raises(ProgrammingError):
        await use()
    await use()


async def test_they_do_not_keep_a_connection_for_ever(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    first = await use()
    monkeypatch.setattr(database, "MAX_LINGER_TIME", 0.0)
    assert (await use())[1] is not first[1]


async def test_chunks_of_rows_come_from_one_connection(configure: Configure) -> None:
    """Django's `aiterator` fetches each chunk in a call of its own, from one cursor."""
    configure()
    await run_in_thread(make_rows, 30)
    seen = [row async for row in Row.objects.using(ALIAS).order_by("pk").aiterator(chunk_size=7)]
    assert [row.pk for row in seen] == list(range(1, 31))


# ── in handlers ──────────────────────────────────────────────────────────────────────────────────────────

api = BoltAPI()


@api.websocket("/async")
async def async_query(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        await sync_to_async(query)()
        await websocket.send(message)


@api.websocket("/thread")
async def thread_query(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        await run_in_thread(query)
        await websocket.send(message)


@api.websocket("/def")
def def_query(websocket: SyncWebSocket) -> None:
    websocket.accept()
    for message in websocket:
        query()
        websocket.send(message)


@api.websocket("/def/busy-sender")
def def_slow_client(websocket: SyncWebSocket) -> None:
    websocket.accept()
    query()
    while True:
        websocket.send_bytes(bytes(65_536))


KINDS = ["async", "thread", "def"]


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(api) as client:
        yield client


def ask(session: WebSocketTestSession) -> None:
    """Have the handler query the database."""
    session.send_text("?")
    assert session.receive_text() == "?"


def wait_until_released(made: list[BaseDatabaseWrapper]) -> None:
    """Wait until all connections are closed."""
    deadline = time.monotonic() + TIMEOUT
    while open_ones := [connection for connection in made if connection.connection is not None]:
        assert time.monotonic() < deadline, open_ones
        time.sleep(0.001)


def wait_until_not_in_use(made: list[Any]) -> None:
    """Wait until all connections are closed, or to be checked before the next query."""
    deadline = time.monotonic() + TIMEOUT
    while not all(connection.connection is None or connection.health_check_enabled for connection in made):
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_socket_pins_no_connection(
    configure: Configure, client: TestClient, made: list[BaseDatabaseWrapper], brief: None, kind: str
) -> None:
    configure()
    sessions = [client.websocket_connect(f"/{kind}") for _ in range(5)]
    for session in sessions:
        ask(session)
    assert made
    wait_until_released(made)
    for session in sessions:
        ask(session)


def test_a_handler_that_waits_for_a_client_that_does_not_read_pins_no_connection(
    configure: Configure, client: TestClient, made: list[BaseDatabaseWrapper], brief: None
) -> None:
    configure()
    session = client.websocket_connect("/def/busy-sender")
    session.receive_bytes()
    wait_until_released(made)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age", [0, None])
def test_a_handler_survives_a_connection_killed_under_it(
    configure: Configure,
    client: TestClient,
    made: list[BaseDatabaseWrapper],
    brief: None,
    kind: str,
    age: int | None,
) -> None:
    configure(CONN_MAX_AGE=age)
    session = client.websocket_connect(f"/{kind}")
    for _ in range(3):
        ask(session)
        wait_until_not_in_use(made)
        for connection in made:
            if connection.connection is not None:
                connection.connection.close()
    assert made


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_a_slow_query_holds_up_no_other_socket(kind: str) -> None:
    """django/channels#1722 and its kin: there they all share one thread."""
    slow, others = threading.Event(), BoltAPI()

    @others.websocket("/{name}")
    async def handle(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        call = slow.wait if name == "slow" else slow.set
        await (sync_to_async(call)() if kind == "async" else run_in_thread(call))
        await websocket.send_text(name)

    with TestClient(others) as clients:
        waiting = clients.websocket_connect("/slow")
        assert clients.websocket_connect("/quick").receive_text() == "quick"
        assert waiting.receive_text() == "slow"


@pytest.mark.parametrize("kind", ["async", "thread", "def"])
def test_atomic_requests_does_not_wrap_a_socket(configure: Configure, kind: str) -> None:
    configure(ATOMIC_REQUESTS=True)
    sockets = BoltAPI()

    def look() -> bool:
        return query().in_atomic_block

    @sockets.websocket("/async")
    async def in_coroutine(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await sync_to_async(look)())

    @sockets.websocket("/thread")
    async def in_thread(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await run_in_thread(look))

    @sockets.websocket("/def")
    def in_function(websocket: SyncWebSocket) -> None:
        websocket.accept()
        websocket.send_json(look())

    assert BaseHandler().make_view_atomic(look)()  # as a view would be
    with TestClient(sockets) as client:
        assert client.websocket_connect(f"/{kind}").receive_json() is False


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"CONN_MAX_AGE": None},
        {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
        {"CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": {"min_size": 1, "max_size": 4}}},
    ],
    ids=["closed", "persistent", "checked", "pool"],
)
def test_handlers_survive_a_restart_of_the_database(
    configure: Configure,
    client: TestClient,
    postgresql: PostgreSQL,
    made: list[BaseDatabaseWrapper],
    brief: None,
    options: Mapping[str, Any],
) -> None:
    configure(**postgresql.settings, **options)
    sessions = [client.websocket_connect(f"/{kind}") for kind in KINDS]
    try:
        for session in sessions * 2:
            ask(session)
        wait_until_not_in_use(made)
        postgresql.stop()
        postgresql.start()
        for session in sessions * 2:
            ask(session)
    finally:
        getattr(connections[ALIAS], "close_pool", int)()


def test_a_query_while_the_database_is_away_fails_and_the_next_one_works(
    configure: Configure, postgresql: PostgreSQL, thread: ThreadPool
) -> None:
    configure(**postgresql.settings, CONN_MAX_AGE=None)
    run(thread, query)
    postgresql.stop()
    try:
        with pytest.raises(OperationalError):
            run(thread, query)
        with pytest.raises(OperationalError):
            run(thread, query)
    finally:
        postgresql.start()
    run(thread, query)


def test_idle_sockets_leave_the_server_without_sessions(
    configure: Configure, client: TestClient, postgresql: PostgreSQL, brief: None
) -> None:
    configure(**postgresql.settings)
    sessions = [client.websocket_connect(f"/{kind}") for kind in KINDS for _ in range(3)]
    for session in sessions:
        ask(session)
    deadline = time.monotonic() + TIMEOUT
    while count_sessions() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count_sessions() == 0


def count_sessions() -> int:
    """Return how many connections the server has besides the one that asks."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
    return count
