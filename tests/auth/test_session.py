from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client, modify_settings, override_settings
from django.utils import timezone

from django_bolt import HTTPException
from django_bolt.auth import AuthResult, SessionAuthentication
from tests.auth.accounts import alog_in, session_key, with_cookie
from tests.memory_connection import MemoryConnection

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
DAY = 24 * 3600

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> str:
    """Use each engine of Django's sessions in turn."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    return str(request.param)


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ann", password="ann")


async def look_up(value: str, **headers: str) -> AuthResult | None:
    return await SessionAuthentication().authenticate(with_cookie(value, **headers))


async def look_up_client(client: Client) -> AuthResult | None:
    return await look_up(session_key(client))


async def test_who_is_logged_in_is_known(engine: str, user: User) -> None:
    result = await look_up_client(await alog_in(user))
    assert result is not None
    assert (result.user_id, result.claims, result.permissions) == (user.pk, {}, None)
    assert result.user == user
    assert result.expires_at == pytest.approx(time.time() + 14 * DAY, abs=60)


async def test_who_has_logged_out_is_not(engine: str, user: User) -> None:
    client = await alog_in(user)
    key = session_key(client)
    await sync_to_async(client.logout)()
    if engine != "signed_cookies":  # Such a cookie holds until it expires, as in a view.
        assert await look_up(key) is None


async def test_a_session_does_not_outlive_the_password(engine: str, user: User) -> None:
    client = await alog_in(user)
    user.set_password("another")
    await user.asave()
    assert await look_up_client(client) is None


async def test_a_session_outlives_the_key_that_it_was_signed_with(user: User, settings: Any) -> None:
    client = await alog_in(user)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-that-is-longer-than-32-bytes"
    assert await look_up_client(client) is not None
    assert await Session.objects.acount() == 1
    assert await look_up_client(client) is not None, "the session has got another key"


async def test_a_deactivated_or_deleted_user_is_nobody(engine: str, user: User) -> None:
    client = await alog_in(user)
    user.is_active = False
    await user.asave()
    assert await look_up_client(client) is None
    await user.adelete()
    assert await look_up_client(client) is None


async def test_a_session_of_a_backend_that_is_gone_is_nobody(user: User, settings: Any) -> None:
    client = await alog_in(user)
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    assert await look_up_client(client) is None


async def test_an_expired_session_is_nobody(user: User) -> None:
    client = await alog_in(user)
    await Session.objects.aupdate(expire_date=timezone.now() - timedelta(seconds=1))
    assert await look_up_client(client) is None


@pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
async def test_the_database_tells_when_a_session_ends(engine: str, user: User) -> None:
    client = await alog_in(user)
    end = timezone.now() + timedelta(hours=1)
    await Session.objects.aupdate(expire_date=end)
    result = await look_up_client(client)
    assert result is not None
    assert result.expires_at == pytest.approx(end.timestamp(), abs=1)


@override_settings(BOLT={"CLOSE_ON_EXPIRY": False})
async def test_when_a_session_ends_is_not_asked_where_it_does_not_matter(user: User) -> None:
    result = await look_up_client(await alog_in(user))
    assert result is not None
    assert result.expires_at is None


async def test_a_session_without_a_user_is_nobody(engine: str) -> None:
    client = Client()

    def visit() -> None:
        session = client.session
        session["visits"] = 1
        session.save()

    await sync_to_async(visit)()
    assert await look_up_client(client) is None


async def test_a_session_with_an_impossible_user_is_nobody(user: User) -> None:
    client = await alog_in(user)

    def spoil() -> None:
        session = client.session
        session[SESSION_KEY] = "not a number"
        session.save()

    await sync_to_async(spoil)()
    assert await look_up_client(client) is None


@pytest.mark.parametrize(
    "value",
    ["", "x", "a" * 32, "a" * 15_000, "\0" * 32, "é" * 32, "../../etc/passwd", "'; drop table", "a:b:c"],
)
async def test_a_cookie_that_is_no_session_is_nobody(engine: str, value: str) -> None:
    assert await look_up(value) is None
    assert await Session.objects.acount() == 0


async def test_without_the_cookie_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_bolt.auth.session.run_in_thread", pytest.fail)
    assert await SessionAuthentication().authenticate(MemoryConnection()) is None
    assert await look_up("") is None


async def test_a_foreign_page_is_refused_also_where_any_origin_is_allowed(user: User) -> None:
    key = session_key(await alog_in(user))
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["*"]}):
        with pytest.raises(HTTPException) as raised:
            await look_up(key, origin="https://evil.example")
        assert raised.value.status_code == 403
        assert await look_up(key, origin="http://testserver") is not None
        assert await look_up(key) is not None
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["*", "https://app.example"]}):
        assert await look_up(key, origin="https://app.example") is not None


async def test_a_foreign_page_without_a_session_is_just_nobody() -> None:
    assert await look_up("", origin="https://evil.example") is None


async def test_the_name_of_the_cookie_is_that_of_the_settings(user: User, settings: Any) -> None:
    settings.SESSION_COOKIE_NAME = "other"
    assert await look_up_client(await alog_in(user)) is not None


async def test_renewing_looks_again(user: User) -> None:
    websocket = with_cookie(session_key(await alog_in(user)))
    assert await SessionAuthentication().renew(websocket) is not None
    await Session.objects.all().adelete()
    assert await SessionAuthentication().renew(websocket) is None


async def test_a_session_is_known_by_a_mark_that_is_not_its_key(engine: str, user: User) -> None:
    first, second = await alog_in(user), await alog_in(user)
    results = [await look_up_client(client) for client in (first, first, second)]
    marks = [result.session for result in results if result]
    assert len(marks) == 3
    assert marks[0] == marks[1]
    assert (marks[0] == marks[2]) is (engine == "signed_cookies")
    assert session_key(first) not in str(marks[0])


async def test_it_logs_and_shows_no_key(user: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = session_key(await alog_in(user))
    caplog.clear()
    result = await look_up(key)
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["*"]}), pytest.raises(HTTPException):
        await look_up(key, origin="https://evil.example")
    with override_settings(LOGGING_CONFIG=None):
        assert key not in repr(result) + repr(SessionAuthentication())
    ours = [record for record in caplog.records if record.name.startswith("django_bolt")]
    assert ours
    assert not any(key in record.getMessage() for record in ours)


def test_missing_apps_are_named() -> None:
    assert list(SessionAuthentication().find_problems()) == []
    removed = ["django.contrib.auth", "django.contrib.admin", "django.contrib.sessions"]
    with modify_settings(INSTALLED_APPS={"remove": removed}):
        assert list(SessionAuthentication().find_problems()) == [
            "SessionAuthentication needs 'django.contrib.auth' in INSTALLED_APPS",
            "SessionAuthentication needs 'django.contrib.sessions' in INSTALLED_APPS",
        ]
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
            assert len(list(SessionAuthentication().find_problems())) == 1
