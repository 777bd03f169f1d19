from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import modify_settings, override_settings

from django_bolt import BoltAPI, WebSocket
from django_bolt.auth import IsAuthenticated, IsStaff, IsSuperuser, SessionAuthentication


async def first(websocket: WebSocket) -> None:
    """Do nothing."""


async def second(websocket: WebSocket) -> None:
    """Do nothing."""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make a module that settings can name."""
    made = ModuleType("checked_api")
    monkeypatch.setitem(sys.modules, "checked_api", made)
    return made


def found(bolt: Any) -> list[tuple[str | None, str, str | None]]:
    with override_settings(BOLT=bolt):
        return [(message.id, message.msg, message.hint) for message in run_checks(tags=["django_bolt"])]


def test_a_site_without_settings_of_its_own_passes() -> None:
    assert run_checks(tags=["django_bolt"]) == []


def test_an_unknown_key_is_e001_and_names_the_nearest() -> None:
    assert found({"GUARD": []}) == [
        ("django_bolt.E001", "BOLT has an unknown key 'GUARD'.", "Did you mean 'GUARDS'?")
    ]


def test_a_bad_value_is_e002_and_says_what_would_be_right() -> None:
    assert found({"MAX_CONNECTIONS": -1}) == [
        ("django_bolt.E002", "BOLT['MAX_CONNECTIONS'] is -1.", "It must be a whole number of at least 1.")
    ]


def test_every_problem_is_reported() -> None:
    assert [entry[0] for entry in found({"NOPE": 1, "MAX_CONNECTIONS": -1})] == [
        "django_bolt.E001",
        "django_bolt.E002",
    ]


def test_a_default_that_cannot_be_used_is_e003() -> None:
    bolt = {"AUTHENTICATION": ["nowhere.Auth"], "GUARDS": ["django_bolt.auth.JWTAuthentication"]}
    problems = found(bolt)
    assert [entry[0] for entry in problems] == ["django_bolt.E003", "django_bolt.E003"]
    assert "BOLT['AUTHENTICATION'] cannot be used: No module named 'nowhere'" in problems[0][1]
    assert "JWTAuthentication is no BaseGuard" in problems[1][1]
    assert found({"GUARDS": [IsAuthenticated]}) == []


def test_a_module_that_cannot_be_imported_is_e004_and_the_line_is_named() -> None:
    [(identifier, text, _)] = found({"API": "nowhere.api"})
    assert identifier == "django_bolt.E004"
    assert "'nowhere.api'" in text
    assert "autodiscovery.py:" in text


def test_two_endpoints_on_one_path_are_e005_and_both_named(module: Any) -> None:
    module.one, module.other = BoltAPI(), BoltAPI()
    module.one.websocket("/ws/{a}")(with_parameter)
    module.other.websocket("/ws/{b}")(with_other_parameter)
    [(identifier, text, _)] = found({"API": "checked_api"})
    assert identifier == "django_bolt.E005"
    assert f"{__name__}.with_parameter (" in text
    assert f"{__name__}.with_other_parameter (" in text


def test_endpoints_on_paths_of_their_own_pass(module: Any) -> None:
    module.api = BoltAPI()
    module.api.websocket("/first")(first)
    module.api.websocket("/second")(second)
    assert found({"API": "checked_api:api"}) == []


async def with_parameter(websocket: WebSocket, a: str) -> None:
    """Do nothing."""


async def with_other_parameter(websocket: WebSocket, b: str) -> None:
    """Do nothing."""


WITHOUT_SESSIONS = {"remove": ["django.contrib.sessions"]}
SESSIONS_ARE_MISSING = "SessionAuthentication needs 'django.contrib.sessions' in INSTALLED_APPS"


@modify_settings(INSTALLED_APPS=WITHOUT_SESSIONS)
def test_an_app_that_authentication_needs_and_is_missing_is_e006(module: Any) -> None:
    module.api = BoltAPI(auth=[SessionAuthentication], guards=[IsStaff | IsSuperuser])
    module.api.websocket("/first")(first)
    [(identifier, text, _)] = found({"API": "checked_api:api"})
    assert identifier == "django_bolt.E006"
    assert text.startswith(f"{__name__}.first (")
    assert text.endswith(SESSIONS_ARE_MISSING)


@modify_settings(INSTALLED_APPS=WITHOUT_SESSIONS)
def test_the_defaults_are_checked_for_missing_apps_likewise() -> None:
    assert found({"AUTHENTICATION": [SessionAuthentication], "GUARDS": [IsStaff]}) == [
        ("django_bolt.E006", f"BOLT['AUTHENTICATION']: {SESSIONS_ARE_MISSING}", None)
    ]


# ── the broker ───────────────────────────────────────────────────────────────────────────────────────────────


def found_for_deployment(broker: str) -> list[tuple[str | None, str]]:
    """Return what ``check --deploy`` says of a broker."""
    with override_settings(BOLT={"BROKER": broker, "BROKER_TIMEOUT": 0.5}):
        messages = run_checks(tags=["django_bolt"], include_deployment_checks=True)
    return [(message.id, message.msg) for message in messages]


def test_a_broker_that_is_none_is_e007() -> None:
    ((number, message, _),) = found({"BROKER": "amqp://user:secret@host"})
    assert number == "django_bolt.E007"
    assert message.startswith("BOLT['BROKER'] begins with amqp://; the brokers are local://, memory://")
    assert "secret" not in message


def test_a_broker_that_is_no_url_is_e002_and_not_shown() -> None:
    ((number, message, hint),) = found({"BROKER": "user:secret@host"})
    assert (number, message) == ("django_bolt.E002", "BOLT['BROKER'] is str.")
    assert hint == 'It must be a URL such as "local://", "memory://" or "redis://host:6379/0".'


def test_a_redis_that_cannot_be_reached_is_e008_at_deployment_only() -> None:
    broker = "redis://user:secret@127.0.0.1:1/0"
    assert found({"BROKER": broker}) == []
    ((number, message),) = found_for_deployment(broker)
    assert number == "django_bolt.E008"
    assert message.startswith("The broker redis://127.0.0.1:1 is unavailable: ")
    assert "refused" in message
    assert "secret" not in message


def test_memory_is_w001_at_deployment_only() -> None:
    assert found({"BROKER": "memory://"}) == []
    ((number, message),) = found_for_deployment("memory://")
    assert number == "django_bolt.W001"
    assert "does not reach the clients of another" in message


def test_a_broker_with_a_mistake_is_reported_once() -> None:
    assert [entry[0] for entry in found_for_deployment("redis://host/name")] == ["django_bolt.E007"]


def test_the_default_passes_for_deployment(tmp_path: Path) -> None:
    assert found_for_deployment(f"local://{tmp_path}") == []
