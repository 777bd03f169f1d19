"""Tests of the pages and of the WebSocket endpoints. Run them with ``python manage.py test``."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from threading import Event
from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings
from django.utils import timezone

from django_bolt.testing import HandshakeRejected, TestClient, WebSocketTestSession

from . import presence
from .api import BAD_NAME, NO_SUCH_ROOM, api
from .models import Message, Presence, Room
from .text import clean

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

    def test_admin_lists_messages(self) -> None:
        self.client.login(username="admin", password="admin")
        Message.objects.create(room=Room.objects.get(slug="coffee"), author="Ada", text="Good morning")
        self.assertContains(self.client.get("/admin/rooms/message/"), "Good morning")


@fast_passwords
class LiveTestCase(TestCase):
    """The live half, by django_bolt's test client. The endpoints see what the test has in its transaction."""

    @classmethod
    def setUpTestData(cls) -> None:
        seed()

    def setUp(self) -> None:
        self.live = self.enterContext(TestClient(api))
        self.coffee = Room.objects.get(slug="coffee")

    def enter(self, path: str, **query: str) -> WebSocketTestSession:
        """Enter a room and pass over the history."""
        visitor = self.enterContext(self.live.websocket_connect(path, query=query))
        assert visitor.receive_json()["type"] == "history"
        return visitor

    def assert_people(self, visitor: WebSocketTestSession, *names: str) -> None:
        """Receive who is in the room."""
        event = visitor.receive_json()
        assert (event["type"], event["names"]) == ("people", list(names))

    def assert_said(self, visitor: WebSocketTestSession, author: str, text: str) -> None:
        """Receive a message."""
        event = visitor.receive_json()
        assert (event["type"], event["author"], event["text"]) == ("message", author, text)


class RoomTests(LiveTestCase):
    """What people in a room see."""

    def test_everybody_gets_a_message(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada")
        bob = self.enter("/ws/rooms/coffee", name="Bob")
        for visitor in (ada, bob):
            self.assert_people(visitor, "Ada", "Bob")
        ada.send_json({"text": "Good morning"})
        for visitor in (ada, bob):
            self.assert_said(visitor, "Ada", "Good morning")
        bob.close()
        self.assert_people(ada, "Ada")

    def test_a_newcomer_gets_the_history(self) -> None:
        Message.objects.create(room=self.coffee, author="Ada", text="Good morning")
        with self.live.websocket_connect("/ws/rooms/coffee?name=Bob") as bob:
            assert [message["text"] for message in bob.receive_json()["messages"]] == ["Good morning"]

    def test_what_is_no_message_is_answered_and_not_stored(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada")
        for text in ("x" * 501, " ", "\0"):
            with self.subTest(text=text):
                ada.send_json({"text": text})
                assert ada.receive_json()["type"] == "error"
        assert not Message.objects.exists()

    def test_what_no_page_sends_ends_the_connection(self) -> None:
        for nonsense in ({"text": 7}, {}, ["text"], None):
            with self.subTest(nonsense=nonsense):
                eve = self.enter("/ws/rooms/coffee", name="Eve")
                eve.send_json(nonsense)
                assert eve.wait_closed() == 1007

    def test_refusals_say_why(self) -> None:
        for path, code in [
            ("/ws/rooms/coffee?name=" + "x" * 25, BAD_NAME),
            ("/ws/rooms/coffee", BAD_NAME),
            ("/ws/rooms/cellar?name=Ada", NO_SUCH_ROOM),
            ("/ws/rooms/staff?name=Ada", NO_SUCH_ROOM),
        ]:
            with self.subTest(path=path):
                assert self.live.websocket_connect(path).wait_closed() == code

    def test_members_room_is_open_while_one_is_logged_in(self) -> None:
        self.live.force_login(get_user_model().objects.get(username="demo"))
        demo = self.enter("/ws/members/staff")
        self.assert_people(demo, "demo")
        with self.captureOnCommitCallbacks(execute=True):
            self.live.logout()
        assert demo.wait_closed() == 4401

    def test_members_room_is_closed_to_strangers(self) -> None:
        with self.assertRaises(HandshakeRejected) as refusal:  # noqa: PT027 (needs no pytest)
            self.live.websocket_connect("/ws/members/staff")
        assert refusal.exception.status == 401


class PresenceTests(LiveTestCase):
    """Who is said to be in a room. Rows of other processes are played by rows that this one did not make."""

    def other_process(self, name: str) -> Presence:
        """Have somebody in the coffee corner by another process."""
        return Presence.objects.create(room=self.coffee, name=name)

    def go_stale(self, row: Presence) -> None:
        """Let a row be as old as if its process was killed."""
        Presence.objects.filter(pk=row.pk).update(seen_at=timezone.now() - 2 * presence.STALE)

    def test_people_of_other_processes_count(self) -> None:
        self.other_process("Bob")
        self.assert_people(self.enter("/ws/rooms/coffee", name="Ada"), "Ada", "Bob")

    def test_a_name_in_two_windows_counts_once(self) -> None:
        first = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(first, "Ada")
        second = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(second, "Ada")
        first.close()
        self.assert_people(second, "Ada")

    def test_people_of_a_killed_process_leave(self) -> None:
        self.go_stale(self.other_process("Bob"))
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada", "Bob")
        presence.refresh()
        self.assert_people(ada, "Ada")

    def test_those_who_are_here_stay(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada")
        row = Presence.objects.get()
        self.go_stale(row)
        presence.refresh()
        assert Presence.objects.get().seen_at > timezone.now() - timedelta(seconds=5)

    def test_who_was_dropped_by_mistake_comes_back(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada")
        Presence.objects.all().delete()
        presence.refresh()
        self.assert_people(ada, "Ada")
        assert Presence.objects.count() == 1

    def test_a_room_may_be_deleted_while_people_are_in_it(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(ada, "Ada")
        self.coffee.delete()
        presence.refresh()
        ada.close()
        assert not Presence.objects.exists()

    def test_lists_are_numbered(self) -> None:
        ada = self.enter("/ws/rooms/coffee", name="Ada")
        first = ada.receive_json()["version"]
        self.enter("/ws/rooms/coffee", name="Bob")
        assert ada.receive_json()["version"] == first + 1

    def test_the_process_refreshes_by_itself(self) -> None:
        refreshed = Event()
        with patch.multiple(presence, REFRESH=0, refresh=refreshed.set):
            self.enter("/ws/rooms/coffee", name="Ada")
            assert refreshed.wait(timeout=5)

    def test_the_lobby_counts(self) -> None:
        self.other_process("Bob")
        lobby = self.enterContext(self.live.websocket_connect("/ws/lobby"))
        counts = {news["room"]: news["count"] for news in lobby.receive_json()["rooms"]}
        assert counts == {"coffee": 1, "django": 0, "music": 0, "staff": 0}
        self.enter("/ws/rooms/coffee", name="Ada")
        (news,) = lobby.receive_json()["rooms"]
        assert (news["room"], news["count"]) == ("coffee", 2)


class OutsideTests(LiveTestCase):
    """What reaches a room from outside of its endpoint."""

    def setUp(self) -> None:
        super().setUp()
        self.ada = self.enter("/ws/rooms/coffee", name="Ada")
        self.assert_people(self.ada, "Ada")

    def test_a_command_says_something(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            call_command("say", "coffee", " Fresh cake! ", "--name", "Kitchen", stdout=StringIO())
        self.assert_said(self.ada, "Kitchen", "Fresh cake!")
        assert Message.objects.get().text == "Fresh cake!"

    def test_a_command_explains_what_it_does_not_say(self) -> None:
        for room, text, problem in [
            ("cellar", "Hello", "There is no room 'cellar'. Rooms: coffee, "),
            ("coffee", " ", "a message 1 to 500"),
        ]:
            with self.subTest(room=room), self.assertRaisesMessage(CommandError, problem):
                call_command("say", room, text)
        assert not Message.objects.exists()

    def test_the_admin_writes_and_corrects(self) -> None:
        self.client.force_login(get_user_model().objects.get(username="admin"))
        form = {"room": self.coffee.pk, "author": "Admin", "text": "Closed at sicks"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/admin/rooms/message/add/", form)
        self.assert_said(self.ada, "Admin", "Closed at sicks")
        message = Message.objects.get()
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(f"/admin/rooms/message/{message.pk}/change/", form | {"text": "Closed at six"})
        self.assert_said(self.ada, "Admin", "Closed at six")


class CleanTests(TestCase):
    """What is taken from people."""

    def test_text_is_trimmed(self) -> None:
        assert clean("  one\ntwo \n", 10) == "one\ntwo"

    def test_control_characters_and_lone_surrogates_are_dropped(self) -> None:
        assert clean("a\x00b\x1b\ud800c", 10) == "abc"

    def test_nothing_and_too_much_are_refused(self) -> None:
        for words in ("", " \n\t", "four" * 3):
            with self.subTest(words=words):
                assert clean(words, 10) is None
