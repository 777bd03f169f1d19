"""Tests of the pages. Run them with ``python manage.py test``."""

from __future__ import annotations

from io import StringIO

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import TestCase, override_settings

from .api import clean
from .models import Message, Room


class PageTests(TestCase):
    """The plain Django half of the site, by Django's own test client."""

    @classmethod
    def setUpTestData(cls) -> None:
        """Fill the database as ``make demo`` does."""
        with override_settings(DEBUG=True):
            call_command("seed_demo", stdout=StringIO())

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
