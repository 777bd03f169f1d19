"""Tests of the pages and of the WebSocket endpoints. Run them with ``python manage.py test``."""

from __future__ import annotations

from io import StringIO

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import TestCase, TransactionTestCase, override_settings

from django_bolt.testing import HandshakeRejected, TestClient, WebSocketTestSession

from .api import BAD_NAME, NO_SUCH_ROOM, api, clean
from .models import Message, Room

# Hashing passwords slowly is right for a site and a waste of time here.
fast_passwords = override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])


def seed() -> None:
    """Fill the database as ``make demo`` does."""
    with override_settings(DEBUG=True):
        call_command("seed_demo", stdout=StringIO())


@fast_passwords
class PageTests(TestCase):
    """The plain Django half of the site, by Django's own test client."""

    @classmethod
    def setUpTestData(cls) -> None:
        seed()

    def log_in(self) -> None:
        """Log in as the demo user."""
        assert self.client.login(username="demo", password="demo")

    def test_index_shows_every_room(self) -> None:
        response = self.client.get("/")
        for room in Room.objects.all():
            self.assertContains(response, room.title)
            self.assertContains(response, f'href="/rooms/{room.slug}/"')

    def test_open_room_is_open(self) -> None:
        response = self.client.get("/rooms/coffee/")
        self.assertContains(response, "Coffee corner")
        self.assertContains(response, '"socketPath": "/ws/rooms/coffee"')
        self.assertContains(response, 'id="name-dialog"')

    def test_unknown_room_is_not_found(self) -> None:
        assert self.client.get("/rooms/cellar/").status_code == 404

    def test_members_room_leads_strangers_to_log_in(self) -> None:
        self.assertRedirects(self.client.get("/rooms/staff/"), "/login/?next=/rooms/staff/")

    def test_members_room_knows_its_visitor(self) -> None:
        self.log_in()
        response = self.client.get("/rooms/staff/")
        self.assertContains(response, '"name": "demo"')
        self.assertNotContains(response, 'id="name-dialog"')

    def test_log_in_leads_back_to_the_room(self) -> None:
        form = {"username": "demo", "password": "demo", "next": "/rooms/staff/"}
        self.assertRedirects(self.client.post("/login/", form), "/rooms/staff/")

    def test_wrong_password_is_refused(self) -> None:
        response = self.client.post("/login/", {"username": "demo", "password": "guess"})
        self.assertContains(response, "do not match")

    def test_token_wants_log_in(self) -> None:
        self.assertRedirects(self.client.get("/token/"), "/login/?next=/token/")

    def test_token_names_its_user_and_expires(self) -> None:
        self.log_in()
        response = self.client.get("/token/")
        claims = jwt.decode(
            response.json()["token"], settings.SECRET_KEY, algorithms=["HS256"], options={"require": ["exp"]}
        )
        assert claims["user_id"] == get_user_model().objects.get(username="demo").pk
        assert "no-store" in response["Cache-Control"]

    def test_admin_lists_messages(self) -> None:
        self.client.login(username="admin", password="admin")
        Message.objects.create(room=Room.objects.get(slug="coffee"), author="Ada", text="Good morning")
        self.assertContains(self.client.get("/admin/rooms/message/"), "Good morning")


@fast_passwords
class RoomTests(TransactionTestCase):
    """The live half, by django_bolt's test client.

    Endpoints run beside the test, hence a `TransactionTestCase`: both must see the same rows.
    """

    def setUp(self) -> None:
        seed()
        self.live = self.enterContext(TestClient(api))

    def enter(self, path: str, **query: str) -> WebSocketTestSession:
        """Enter a room and pass over the history."""
        visitor = self.enterContext(self.live.websocket_connect(path, query=query))
        assert visitor.receive_json()["type"] == "history"
        return visitor

    def test_everybody_gets_a_message(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        assert ada.receive_json() == {"type": "people", "names": ["Ada"]}
        bob = self.enter("/ws/rooms/coffee", name="Bob")
        for visitor in (ada, bob):
            assert visitor.receive_json() == {"type": "people", "names": ["Ada", "Bob"]}
        ada.send_json({"text": "Good morning"})
        for visitor in (ada, bob):
            message = visitor.receive_json()
            assert (message["author"], message["text"]) == ("Ada", "Good morning")
        bob.close()
        assert ada.receive_json() == {"type": "people", "names": ["Ada"]}

    def test_a_newcomer_gets_the_history(self) -> None:
        Message.objects.create(room=Room.objects.get(slug="music"), author="Ada", text="Nina Simone")
        with self.live.websocket_connect("/ws/rooms/music?name=Bob") as bob:
            assert [message["text"] for message in bob.receive_json()["messages"]] == ["Nina Simone"]

    def test_nonsense_is_answered_and_not_stored(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        assert ada.receive_json()["type"] == "people"
        for nonsense in ({"text": "x" * 501}, {"text": 7}, {}, ["text"], None):
            with self.subTest(nonsense=nonsense):
                ada.send_json(nonsense)
                assert ada.receive_json()["type"] == "error"
        assert not Message.objects.exists()

    def test_refusals_say_why(self) -> None:
        for path, code in [
            ("/ws/rooms/coffee?name=" + "x" * 25, BAD_NAME),
            ("/ws/rooms/coffee", BAD_NAME),
            ("/ws/rooms/cellar?name=Ada", NO_SUCH_ROOM),
            ("/ws/rooms/staff?name=Ada", NO_SUCH_ROOM),
        ]:
            with self.subTest(path=path):
                assert self.live.websocket_connect(path).wait_closed() == code

    def test_members_room_takes_the_token_of_the_page(self) -> None:
        self.client.login(username="demo", password="demo")
        demo = self.enter("/ws/members/staff", token=self.client.get("/token/").json()["token"])
        assert demo.receive_json() == {"type": "people", "names": ["demo"]}

    def test_members_room_is_closed_to_strangers(self) -> None:
        for path in ("/ws/members/staff", "/ws/members/staff?token=guess"):
            with self.subTest(path=path):
                with self.assertRaises(HandshakeRejected) as refusal:  # noqa: PT027 (needs no pytest)
                    self.live.websocket_connect(path)
                assert refusal.exception.status == 401

    def test_the_lobby_counts(self) -> None:
        lobby = self.enterContext(self.live.websocket_connect("/ws/lobby"))
        assert lobby.receive_json() == {"type": "counts", "counts": {}}
        self.enter("/ws/rooms/coffee", name="Ada")
        assert lobby.receive_json() == {"type": "counts", "counts": {"coffee": 1}}


class CleanTests(TestCase):
    """What the server takes from a client."""

    def test_text_is_trimmed(self) -> None:
        assert clean("  one\ntwo \n", 10) == "one\ntwo"

    def test_control_characters_and_lone_surrogates_are_dropped(self) -> None:
        assert clean("a\x00b\x1b\ud800c", 10) == "abc"

    def test_what_is_no_text_is_refused(self) -> None:
        for value in (None, 7, ["a"], {"text": "a"}, "", " \n\t", "four" * 3):
            with self.subTest(value=value):
                assert clean(value, 10) is None
