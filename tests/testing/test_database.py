"""Handlers see the data of the test. The tests of Django's kind are in `tests.testing.orm`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group

from django_bolt.testing import AsyncTestClient, TestClient
from django_bolt.testing.database import ashare_connections
from django_bolt.threads import job_threads, run_in_thread
from tests.postgresql import PostgreSQL
from tests.testing.orm.api import api, names

ROOT = Path(__file__).parents[2]
KINDS = ["async", "def", "thread"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fixture_db(db: None, kind: str) -> None:
    assert names() == []
    Group.objects.create(name="of the test")
    with TestClient(api) as client:
        with client.websocket_connect(f"/{kind}/make") as ws:
            ws.send_text("of the handler")
            ws.receive_text()
        with client.websocket_connect(f"/{kind}/names") as ws:
            ws.send_text("")
            assert ws.receive_json() == ["of the handler", "of the test"] == names()


@pytest.fixture
def early_client() -> Iterator[TestClient]:
    """A client that is open before the fixtures that come after it."""
    with TestClient(api) as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_opened_before_the_fixture_db(early_client: TestClient, db: None, kind: str) -> None:
    Group.objects.create(name="of the test")
    with early_client.websocket_connect(f"/{kind}/names") as ws:
        ws.send_text("")
        assert ws.receive_json() == ["of the test"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fixture_transactional_db(transactional_db: None, kind: str) -> None:
    assert names() == []
    with TestClient(api) as client:
        with client.websocket_connect(f"/{kind}/make") as ws:
            ws.send_text("of the handler")
            ws.receive_text()
        assert names() == ["of the handler"]


@pytest.fixture
def group(db: None) -> Group:
    """A group, made before the test begins."""
    return Group.objects.create(name="of the fixture")


async def test_in_a_coroutine(group: Group) -> None:
    async with ashare_connections():
        assert await run_in_thread(names) == ["of the fixture"]
        await Group.objects.acreate(name="of the test")
        assert await run_in_thread(names) == ["of the fixture", "of the test"]
    assert await sync_to_async(threading.current_thread)() not in job_threads._workers


@pytest.mark.parametrize("kind", KINDS)
async def test_the_asynchronous_client(group: Group, kind: str) -> None:
    async with AsyncTestClient(api) as client:
        await Group.objects.acreate(name="of the test")
        async with client.websocket_connect(f"/{kind}/make") as ws:
            await ws.send_text("of the handler")
            await ws.receive_text()
        async with client.websocket_connect(f"/{kind}/names") as ws:
            await ws.send_text("")
            assert await ws.receive_json() == ["of the fixture", "of the handler", "of the test"]


def test_what_a_coroutine_has_made_is_undone(db: None) -> None:
    assert names() == []


def test_without_a_database_the_client_works(client_without_database: TestClient) -> None:
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Group.objects.count()


@pytest.fixture
def client_without_database() -> TestClient:
    """A client that was open."""
    with TestClient(api) as client:
        return client


# ── the tests of Django's kind, which pytest runs on a database in memory ──────────────────────────────


def run_django_tests(database: dict[str, object]) -> None:
    """Run them with Django's runner."""
    environment = os.environ | {"ORM_DATABASE": json.dumps(database), "PYTHONWARNINGS": "error"}
    arguments = [
        "-m",
        "django",
        "test",
        "tests.testing.orm.test_orm",
        "--settings",
        "tests.testing.orm.settings",
    ]
    done = subprocess.run(
        [sys.executable, *arguments, "--noinput"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nOK" in done.stderr


def test_sqlite_in_a_file(tmp_path: Path) -> None:
    name = str(tmp_path / "db.sqlite3")
    run_django_tests({"ENGINE": "django.db.backends.sqlite3", "NAME": name, "TEST": {"NAME": name + "-test"}})


@pytest.mark.parametrize(
    "options",
    [{"CONN_MAX_AGE": None}, {"OPTIONS": {"pool": True}}],
    ids=["persistent", "pool"],
)
def test_postgresql(postgresql: PostgreSQL, options: dict[str, object]) -> None:
    run_django_tests({**postgresql.settings, **options})
