"""Both test clients are Django's, for the HTTP side of the same site, with one jar of cookies."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.test import AsyncClient, Client, SimpleTestCase, TestCase, override_settings

from django_bolt import BoltAPI, WebSocket
from django_bolt.testing import AsyncTestClient, HandshakeRejected, TestClient
from tests.testing.sample_api import api as sample_api

api = BoltAPI()

# Sessions that need no database: what the handler's thread can see of that is tested elsewhere.
with_urls = override_settings(
    ROOT_URLCONF="tests.testing.sample_urls",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)


@api.websocket("/request")
async def request(websocket: WebSocket) -> None:
    await websocket.accept()
    session = SessionStore(websocket.cookies.get(settings.SESSION_COOKIE_NAME))
    await websocket.send_json(
        {
            "host": websocket.headers["host"],
            "header": websocket.headers.get("x-test"),
            "cookies": websocket.cookies,
            "user_id": session.get("_auth_user_id"),
        }
    )


def make_user() -> Any:
    return get_user_model().objects.create_user("ada", password="secret")


def asked(client: TestClient, **options: Any) -> Any:
    with client.websocket_connect("/request", **options) as ws:
        return ws.receive_json()


async def aasked(client: AsyncTestClient, **options: Any) -> Any:
    async with client.websocket_connect("/request", **options) as ws:
        return await ws.receive_json()


@with_urls
class BlockingTests(SimpleTestCase):
    def setUp(self) -> None:
        self.live = self.enterContext(TestClient(api, sample_api, headers={"X-Test": "one"}))

    def test_it_is_a_client_of_django(self) -> None:
        assert isinstance(self.live, Client)
        assert self.live.get("/visit/").json()["user"] == ""
        assert self.live.get("/nowhere/").status_code == 404
        with pytest.raises(LookupError, match="of the view"):
            self.live.get("/fail/")

    def test_cookies_of_a_response_go_with_connections(self) -> None:
        assert asked(self.live)["cookies"] == {}
        self.live.get("/visit/")
        assert asked(self.live)["cookies"] == {"visited": "yes"}
        assert asked(self.live, cookies={"visited": "no", "x": "1"})["cookies"] == {"visited": "no", "x": "1"}
        assert asked(self.live)["cookies"] == {"visited": "yes"}

    def test_cookies_of_the_opening_handshake_go_with_requests(self) -> None:
        self.live.websocket_connect("/cookie/accept").close()
        assert self.live.get("/visit/").json()["cookies"] == {"seat": "12", "row": "a b"}

    def test_cookies_of_a_refusal_are_kept_too(self) -> None:
        with pytest.raises(HandshakeRejected):
            self.live.websocket_connect("/cookie/reject")
        assert self.live.cookies["seat"].value == "12"

    def test_cookies_of_the_jar_go_with_connections_as_they_were_quoted(self) -> None:
        self.live.cookies["row"] = "a b"
        assert asked(self.live)["cookies"] == {"row": "a b"}

    def test_header_fields_of_the_client_go_with_both(self) -> None:
        assert asked(self.live)["header"] == "one"
        assert asked(self.live, headers={"x-test": "two"})["header"] == "two"
        assert self.live.get("/visit/").json()["header"] == "one"
        assert self.live.get("/visit/", headers={"X-Test": "two"}).json()["header"] == "two"

    def test_the_host_is_that_of_both(self) -> None:
        with TestClient(api, host="localhost:8000") as live:
            assert live.get("/visit/").json()["host"] == "localhost:8000"
            assert asked(live)["host"] == "localhost:8000"
            assert asked(live, headers={"Host": "127.0.0.1"})["host"] == "127.0.0.1"
            assert live.get("/visit/", headers={"Host": "127.0.0.1"}).json()["host"] == "127.0.0.1"

    def test_other_options_of_django(self) -> None:
        client = TestClient(api, raise_request_exception=False, enforce_csrf_checks=True)
        assert client.get("/fail/").status_code == 500
        assert client.handler.enforce_csrf_checks


@override_settings(BOLT={"API": "tests.testing.test_django_client.api"})
class OwnClientTests(SimpleTestCase):
    client_class = TestClient

    def test_it_is_the_client_of_the_test_case(self) -> None:
        live = self.enterContext(self.client)
        assert isinstance(live, TestClient)
        assert asked(live)["host"] == "testserver"


@with_urls
class AsynchronousTests(SimpleTestCase):
    async def test_it_is_an_asynchronous_client_of_django(self) -> None:
        client = AsyncTestClient(api)
        assert isinstance(client, AsyncClient)
        assert (await client.get("/visit/")).json()["user"] == ""
        assert (await client.get("/nowhere/")).status_code == 404
        with pytest.raises(LookupError, match="of the view"):
            await client.get("/fail/")

    async def test_cookies_go_with_both(self) -> None:
        async with AsyncTestClient(api, sample_api) as client:
            await client.get("/visit/")
            assert (await aasked(client))["cookies"] == {"visited": "yes"}
            await (await client.websocket_connect("/cookie/accept")).close()
            cookies = (await client.get("/visit/")).json()["cookies"]
            assert cookies == {"visited": "yes", "seat": "12", "row": "a b"}

    async def test_host_and_header_fields_go_with_both(self) -> None:
        async with AsyncTestClient(api, host="localhost", headers={"X-Test": "one"}) as client:
            asked = await aasked(client)
            assert (asked["host"], asked["header"]) == ("localhost", "one")
            answer = (await client.get("/visit/")).json()
            assert (answer["host"], answer["header"]) == ("localhost", "one")
            answer = (await client.get("/visit/", headers={"x-test": "two"})).json()
            assert answer["header"] == "two"

    async def test_other_options_of_django(self) -> None:
        client = AsyncTestClient(api, raise_request_exception=False, enforce_csrf_checks=True)
        assert (await client.get("/fail/")).status_code == 500
        assert client.handler.enforce_csrf_checks


@with_urls
class LoginTests(TestCase):
    def test_logging_in_and_out(self) -> None:
        user = make_user()
        with TestClient(api) as client:
            assert asked(client)["user_id"] is None
            client.force_login(user)
            assert asked(client)["user_id"] == str(user.pk)
            assert client.get("/visit/").json()["user"] == "ada"
            client.logout()
            assert asked(client)["user_id"] is None
            assert not client.login(username="ada", password="wrong")
            assert client.login(username="ada", password="secret")
            assert asked(client)["user_id"] == str(user.pk)

    async def test_logging_in_and_out_asynchronously(self) -> None:
        user = await get_user_model().objects.acreate_user("ada", password="secret")
        async with AsyncTestClient(api) as client:
            assert (await aasked(client))["user_id"] is None
            await client.aforce_login(user)
            assert (await aasked(client))["user_id"] == str(user.pk)
            assert (await client.get("/visit/")).json()["user"] == "ada"
            await client.alogout()
            assert (await aasked(client))["user_id"] is None
            assert not await client.alogin(username="ada", password="wrong")
            assert await client.alogin(username="ada", password="secret")
            assert (await aasked(client))["user_id"] == str(user.pk)
