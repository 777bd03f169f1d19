"""Sessions and tokens as a page of the site uses them, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests.live_server import LiveServer, LiveServers, live_servers

__all__ = ["live_servers"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TALK = """
([path, subprotocols]) => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}${path}`, subprotocols);
    socket.onmessage = (event) => resolve({subprotocol: socket.protocol, said: JSON.parse(event.data)});
    socket.onclose = (event) => resolve({code: event.code, reason: event.reason});
    window.socket = socket;
})
"""
WAIT_FOR_CLOSE = """
() => new Promise((resolve) => {
    window.socket.onclose = (event) => resolve({code: event.code, reason: event.reason});
    fetch("/accounts/log_out/", {method: "POST", body: new URLSearchParams({username: "bea"})});
})
"""
LOG_IN = """
() => fetch("/accounts/log_in/", {method: "POST", body: new URLSearchParams({username: "bea"})})
    .then((response) => response.status)
"""


@pytest.fixture
def page(browser: Browser, live_servers: LiveServers) -> Iterator[Page]:
    """A page of the test project."""
    server: LiveServer = live_servers.get()
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/")
    yield page
    context.close()


def talk(page: Page, path: str, *subprotocols: str) -> dict[str, Any]:
    """Connect and return what comes first: a message, or the end."""
    answer: dict[str, Any] = page.evaluate(TALK, [path, list(subprotocols)])
    return answer


def test_a_browser_accepts_a_connection_with_a_token_among_its_subprotocols(page: Page) -> None:
    token = jwt.encode({"user_id": 7, "exp": int(time.time()) + 60}, settings.SECRET_KEY)
    for offered, accepted in ((["bolt"], "bolt"), (["chat"], None)):
        answer = talk(page, "/identity/token", *offered, f"bearer.{token}")
        if accepted is None:  # Nothing was chosen, and browsers want one of theirs.
            assert answer["code"] == 1006
        else:
            assert answer == {"subprotocol": accepted, "said": {"user_id": 7, "offered": offered}}


def test_a_page_is_known_by_its_session_until_it_logs_out(page: Page) -> None:
    assert talk(page, "/identity/worker") == {"code": 1006, "reason": ""}
    assert page.evaluate(LOG_IN) == 200
    assert talk(page, "/identity/worker")["said"] > 0
    assert page.evaluate(WAIT_FOR_CLOSE) == {"code": 4401, "reason": "logged out"}
    assert talk(page, "/identity/worker") == {"code": 1006, "reason": ""}
