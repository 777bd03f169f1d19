"""What tests of Django's own kind see of handlers' ORM calls, and those of theirs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection
from django.test import TestCase, TransactionTestCase

from django_bolt.testing import AsyncTestClient, TestClient, database, turns
from django_bolt.testing.database import ashare_connections
from django_bolt.threads import job_threads, run_in_thread
from tests.testing.orm.api import api, committed, connection_id, names

KINDS = ("async", "def", "thread")


def is_in_memory() -> bool:
    """Whether the database is in memory, so that all must use one connection."""
    return database._is_in_memory(connection)


class InATransaction(TestCase):
    """Tests that Django runs in a transaction."""

    @classmethod
    def setUpTestData(cls) -> None:
        Group.objects.create(name="of the class")

    def setUp(self) -> None:
        assert names() == ["of the class"]  # What other tests did is undone.
        Group.objects.create(name="of the test")

    def test_handlers_see_the_data_of_the_test(self) -> None:
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind), client.websocket_connect(f"/{kind}/names") as ws:
                    ws.send_text("")
                    assert ws.receive_json() == ["of the class", "of the test"]
                    Group.objects.create(name=f"while open {kind}")
                    ws.send_text("")
                    assert f"while open {kind}" in ws.receive_json()
                    Group.objects.get(name=f"while open {kind}").delete()

    def test_the_test_sees_the_data_of_handlers(self) -> None:
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind), client.websocket_connect(f"/{kind}/make") as ws:
                    ws.send_text(f"by {kind}")
                    ws.receive_text()
                    assert Group.objects.filter(name=f"by {kind}").exists()

    def test_what_a_handler_rolls_back_is_its_own(self) -> None:
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind), client.websocket_connect(f"/{kind}/make") as ws:
                    ws.send_text("wrong")
                    ws.receive_text()
                    assert names() == ["of the class", "of the test"]

    def test_queries_of_handlers_are_counted(self) -> None:
        with TestClient(api) as client:
            for kind in KINDS:
                with (
                    self.subTest(kind),
                    client.websocket_connect(f"/{kind}/names") as ws,
                    self.assertNumQueries(1),
                ):
                    ws.send_text("")
                    ws.receive_json()

    def test_callbacks_of_handlers_on_commit_are_captured(self) -> None:
        committed.clear()
        with TestClient(api) as client:
            for kind in KINDS:
                with client.websocket_connect(f"/{kind}/make") as ws:
                    with self.captureOnCommitCallbacks(execute=True) as callbacks:
                        ws.send_text(kind)
                        ws.receive_text()
                    assert len(callbacks) == 1, kind
        assert committed == list(KINDS)

    def test_the_connection_of_the_test_is_used_and_stays_open(self) -> None:
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind), client.websocket_connect(f"/{kind}/connection") as ws:
                    assert ws.receive_json() == connection_id()
                    assert ws.wait_closed() == 1000
        assert not connection.allow_thread_sharing
        assert connection.execute_wrappers == []

    def test_handlers_and_the_test_take_turns(self) -> None:
        """Many at once, each in transactions of its own, some of which are rolled back."""

        def talk(number: int) -> None:
            with client.websocket_connect(f"/{KINDS[number % 3]}/make") as ws:
                for count in range(10):
                    ws.send_text("wrong" if count % 3 == 1 else f"{number}.{count}")
                    ws.receive_text()

        with TestClient(api) as client, ThreadPoolExecutor(6) as threads:
            talking = [threads.submit(talk, number) for number in range(6)]
            for count in range(50):
                Group.objects.get_or_create(name=f"mine {count}")
            for future in talking:
                future.result()
        made = {f"{number}.{count}" for number in range(6) for count in range(10) if count % 3 != 1}
        mine = {f"mine {count}" for count in range(50)}
        assert set(names()) == {"of the class", "of the test"} | made | mine

    def test_a_handler_that_waits_in_a_transaction_is_named_as_the_cause(self) -> None:
        with TestClient(api) as client, client.websocket_connect("/def/waits-in-transaction") as ws:
            ws.receive_text()
            with (
                patch.object(turns, "TURN_TIMEOUT", 0.05),
                pytest.raises(RuntimeError, match="inside of tr"),
            ):
                names()
            ws.send_text("go on")
            ws.wait_closed()
            assert "half done" in names()

    def test_two_clients_at_once(self) -> None:
        with TestClient(api) as outer:
            with TestClient(api) as inner, inner.websocket_connect("/def/names") as ws:
                ws.send_text("")
                assert ws.receive_json() == ["of the class", "of the test"]
            with outer.websocket_connect("/async/names") as ws:
                ws.send_text("")
                assert ws.receive_json() == ["of the class", "of the test"]

    async def test_in_a_coroutine_of_django(self) -> None:
        """The transaction is that of the main thread, where Django runs what is thread-sensitive."""
        async with ashare_connections():
            expected = ["of the class", "of the test"]
            assert [group.name async for group in Group.objects.order_by("name")] == expected
            assert await run_in_thread(names) == expected
            assert await asyncio.wrap_future(job_threads.submit(names)) == expected
            await run_in_thread(Group.objects.create, name="in a thread")
            assert await sync_to_async(Group.objects.filter(name="in a thread").exists)()

    async def test_with_the_asynchronous_client(self) -> None:
        async with AsyncTestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind):
                    async with client.websocket_connect(f"/{kind}/make") as ws:
                        await ws.send_text(f"by {kind}")
                        await ws.receive_text()
                        assert await Group.objects.filter(name=f"by {kind}").aexists()
                    await Group.objects.acreate(name=f"for {kind}")
                    async with client.websocket_connect(f"/{kind}/names") as ws:
                        await ws.send_text("")
                        seen = await ws.receive_json()
                        assert {"of the class", "of the test", f"by {kind}", f"for {kind}"} <= set(seen)


class ClientOfTheClass(TestCase):
    """A client that is open before the transaction of any test begins."""

    client_of_all: TestClient

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.client_of_all = cls.enterClassContext(TestClient(api))

    def _check(self, name: str) -> None:
        assert names() == []
        Group.objects.create(name=name)
        for kind in KINDS:
            with self.subTest(kind), self.client_of_all.websocket_connect(f"/{kind}/names") as ws:
                ws.send_text("")
                assert ws.receive_json() == [name]

    def test_one(self) -> None:
        self._check("one")

    def test_other(self) -> None:
        self._check("other")


class WithoutATransaction(TransactionTestCase):
    """Tests whose data is committed: handlers have connections of their own, as in life."""

    def test_handlers_see_what_is_committed_and_the_reverse(self) -> None:
        Group.objects.create(name="of the test")
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind):
                    with client.websocket_connect(f"/{kind}/make") as ws:
                        ws.send_text(f"by {kind}")
                        ws.receive_text()
                    with client.websocket_connect(f"/{kind}/names") as ws:
                        ws.send_text("")
                        assert ws.receive_json() == names()
                    assert f"by {kind}" in names()

    def test_connections_are_their_own(self) -> None:
        own = connection_id()
        with TestClient(api) as client:
            for kind in KINDS:
                with self.subTest(kind), client.websocket_connect(f"/{kind}/connection") as ws:
                    assert (ws.receive_json() == own) == is_in_memory()
