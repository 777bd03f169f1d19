from __future__ import annotations

import logging

import pytest
from django.test import override_settings

from django_bolt import HTTPException
from django_bolt.auth.ambient import require_trusted_origin
from tests.memory_connection import MemoryConnection

FOREIGN = "https://evil.example"


def from_page(origin: str | None) -> MemoryConnection:
    return MemoryConnection("/ws", [("origin", origin)] if origin is not None else [])


@pytest.mark.parametrize("origin", [None, "http://testserver", "https://testserver", "https://app.example"])
def test_cookies_are_taken_from_pages_of_this_site_and_of_those_it_lists(origin: str | None) -> None:
    with override_settings(BOLT={"ALLOWED_ORIGINS": ["*", "https://app.example"]}):
        require_trusted_origin(from_page(origin), "session")


@override_settings(CSRF_TRUSTED_ORIGINS=["https://*.example"])
def test_cookies_are_taken_from_pages_that_csrf_protection_trusts() -> None:
    require_trusted_origin(from_page("https://sub.example"), "session")


@pytest.mark.parametrize("allowed", ["*", "null"])
@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "", "http://testserver:81", "http://testserver, https://testserver"]
)
def test_an_origin_that_any_page_can_have_is_not_enough(
    origin: str, allowed: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        override_settings(BOLT={"ALLOWED_ORIGINS": [allowed]}),
        caplog.at_level(logging.WARNING),
        pytest.raises(HTTPException) as raised,
    ):
        require_trusted_origin(from_page(origin), "session")
    assert raised.value.status_code == 403
    assert repr(origin) in caplog.text
    assert "ALLOWED_ORIGINS" in caplog.text
