from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from django.test import override_settings

from django_bolt.endpoints.refusals import answer_refusal, find_refusal
from tests.memory_connection import MemoryConnection


def test_the_own_host_and_origin_are_let_in() -> None:
    assert find_refusal(MemoryConnection("/")) is None
    assert find_refusal(MemoryConnection("/", [("origin", "http://testserver")])) is None


@pytest.mark.parametrize(
    ("websocket", "status", "cause"),
    [
        (MemoryConnection("/", host="evil.example"), 400, "host 'evil.example' is not in ALLOWED_HOSTS"),
        (MemoryConnection("/", host=None), 400, "is not in ALLOWED_HOSTS"),
        (MemoryConnection("/", [("origin", "http://evil.example")]), 403, "BOLT['ALLOWED_ORIGINS']"),
    ],
)
async def test_others_are_refused(
    websocket: MemoryConnection, status: int, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = find_refusal(websocket)
    assert refusal is not None
    await refusal
    assert websocket.rejected is not None
    assert websocket.rejected[0] == status
    assert cause in caplog.text


@override_settings(BOLT={"ALLOWED_ORIGINS": ["https://app.example.com"]})
def test_an_origin_of_the_settings_is_let_in() -> None:
    assert find_refusal(MemoryConnection("/", [("origin", "https://app.example.com")])) is None


async def test_a_refusal_tells_the_client_no_more_than_its_status(caplog: pytest.LogCaptureFixture) -> None:
    websocket = MemoryConnection("/ws?token=secret")
    await answer_refusal(websocket, HTTPStatus.TOO_MANY_REQUESTS, "because", {"Retry-After": "10"})
    assert websocket.rejected is not None
    status, headers, body = websocket.rejected
    assert (status, json.loads(body)) == (429, {"detail": "Too Many Requests"})
    assert ("Retry-After", "10") in headers
    assert websocket.is_detached
    assert "Connection 7: 429 /ws: because" in caplog.text
    assert "secret" not in caplog.text
