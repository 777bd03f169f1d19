"""What let a client in stays true while it is connected, on a live server and on a `TestClient`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest
from django.conf import settings
from websockets.sync.client import connect

from tests.conformance.accounts import Visitor
from tests.conformance.sites import TIMEOUT, Closed, LiveSite, Rejected, Session, Site, with_bolt
from tests.live_server import LiveServer, LiveServers

Visit = Callable[..., Visitor]

PATIENCE = 20
ALL_OFF = {
    "CLOSE_ON_EXPIRY": False,
    "CLOSE_ON_LOGOUT": False,
    "CLOSE_ON_PASSWORD_CHANGE": False,
    "CLOSE_ON_DEACTIVATION": False,
    "CLOSE_ON_PERMISSION_LOSS": False,
}

pytestmark = pytest.mark.django_db(transaction=True)


def sign(lifetime: float = 3600, **claims: Any) -> str:
    # PyJWT rounds an expiry that it encodes down to a second.
    payload = json.dumps({"exp": time.time() + lifetime, **claims}).encode()
    return jwt.PyJWS().encode(payload, settings.SECRET_KEY, "HS256")


def sign_briefly(**claims: Any) -> str:
    """Sign a token that expires soon; PyJWT refuses one that expires in the current second."""
    now = time.time()
    return sign(math.floor(now + 1.5) + 0.1 - now, **claims)


def by_session(site: Site, visitor: Visitor, path: str = "/identity/session") -> Session:
    return opened(site, path, visitor.cookies)


def by_token(site: Site, visitor: Visitor, path: str = "/identity/any", **claims: Any) -> Session:
    return opened(site, f"{path}?token={sign(user_id=visitor.pk, **claims)}", {})


def opened(site: Site, path: str, headers: Mapping[str, str]) -> Session:
    websocket = site.connect(path, headers=headers)
    assert "username" in websocket.receive_json()
    return websocket


def is_open(websocket: Session) -> bool:
    """Return whether it still answers. What was done before has had its effect when it does."""
    try:
        websocket.send("there?")
        return websocket.receive() == "there?"
    except Closed:
        return False


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────


def test_at_its_expiry_a_token_lets_nobody_stay(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign_briefly(user_id=7)}")
    assert websocket.wait_closed() == (4401, "token expired")
    site.wait_for_events("began", "disconnected 4401 'token expired'")


def test_a_token_without_an_expiry_and_one_of_the_far_future_last(site: Site) -> None:
    forever = jwt.encode({"user_id": 7}, settings.SECRET_KEY)
    far = [
        sign(1e12, user_id=7),
        sign(3e10, user_id=7),
        jwt.encode({"user_id": 7, "exp": 10**30}, settings.SECRET_KEY),
    ]
    for token in (forever, *far):
        websocket = site.connect(f"/identity/renew?token={token}")
        websocket.send("7")
        assert websocket.receive_json() == {"failed": "The token is not valid."}


def test_a_new_token_in_time_lets_it_stay(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign_briefly(user_id=7)}")
    websocket.send(json.dumps(sign(60, user_id="7", role="new")))
    assert websocket.receive_json()["role"] == "new"
    with pytest.raises(TimeoutError):
        websocket.receive(1.7)


def test_a_new_token_may_expire_earlier(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign(60, user_id=7)}")
    websocket.send(json.dumps(sign_briefly(user_id=7)))
    websocket.receive()
    assert websocket.wait_closed() == (4401, "token expired")


def test_a_new_token_that_is_wrong_leaves_the_old_one(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign_briefly(user_id=7, role='old')}")
    wrong: list[tuple[Any, str]] = [
        (None, "The token is not valid."),
        ("x.y.z", "The token is not valid."),
        ("a" * 100_000, "The token is not valid."),
        (sign(user_id=8), "The token is another user's."),
        (sign(-5, user_id=7), "The token has expired."),
        (sign(user_id=7, role="guest"), "Permission denied."),
    ]
    for token, detail in wrong:
        websocket.send(json.dumps(token))
        assert websocket.receive_json() == {"failed": detail}
    assert websocket.wait_closed() == (4401, "token expired")


def test_a_failure_that_the_handler_lets_pass_closes(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign(user_id=7)}")
    websocket.send('"unhandled"')
    assert websocket.wait_closed() == (4401, "authentication failed")
    assert "Traceback" not in site.output()


@with_bolt(**ALL_OFF)
def test_expiry_can_be_switched_off(site: Site) -> None:
    websocket = site.connect(f"/identity/renew?token={sign_briefly(user_id=7)}")
    with pytest.raises(TimeoutError):
        websocket.receive(1.7)


# ── the user ─────────────────────────────────────────────────────────────────────────────────────────────


def test_logging_out_closes_the_connections_of_that_session(site: Site, visit: Visit) -> None:
    visitor, elsewhere = visit().log_in(), visit()
    elsewhere.act("log_in", username=visitor.username)
    closed = [by_session(site, visitor), by_session(site, visitor)]
    staying = [by_session(site, elsewhere), by_token(site, visitor)]
    visitor.act("log_out")
    assert [websocket.wait_closed() for websocket in closed] == [(4401, "logged out")] * 2
    assert all(map(is_open, staying))


@with_bolt(CLOSE_ON_LOGOUT="user")
def test_logging_out_can_close_all_of_the_users(site: Site, visit: Visit) -> None:
    visitor, other = visit().log_in(), visit().log_in()
    closed, staying = [by_session(site, visitor), by_token(site, visitor)], by_session(site, other)
    visitor.act("log_out")
    assert [websocket.wait_closed() for websocket in closed] == [(4401, "logged out")] * 2
    assert is_open(staying)


def test_who_has_logged_out_cannot_come_back_while_the_session_is_being_deleted(
    site: Site, visit: Visit
) -> None:
    visitor = visit().log_in()
    cookies = visitor.cookies
    by_session(site, visitor)
    visitor.act("log_out")
    with pytest.raises(Rejected):
        site.connect("/identity/session", headers=cookies)


USER_EVENTS = [
    ("change_password", "password changed"),
    ("set_first_password", "password changed"),
    ("deactivate", "user deactivated"),
    ("delete", "user deleted"),
]


@pytest.mark.parametrize(("action", "reason"), USER_EVENTS)
def test_what_ends_a_users_access_closes_all_its_connections(
    site: Site, visit: Visit, action: str, reason: str
) -> None:
    visitor, other = visit().log_in(), visit().log_in()
    closed = [by_session(site, visitor), by_token(site, visitor), by_token(site, visitor, sub="x")]
    staying = by_session(site, other)
    visitor.act(action)
    assert [websocket.wait_closed() for websocket in closed] == [(4401, reason)] * 3
    assert is_open(staying)


@with_bolt(**ALL_OFF)
@pytest.mark.parametrize("action", ["change_password", "deactivate", "delete", "degrade", "log_out"])
def test_each_can_be_switched_off(site: Site, visit: Visit, action: str) -> None:
    visitor = visit("is_staff").log_in()
    websockets = [
        by_session(site, visitor),
        by_session(site, visitor, "/identity/staff"),
        by_token(site, visitor),
    ]
    visitor.act(action)
    assert all(map(is_open, websockets))


def test_saving_a_user_closes_nothing(site: Site, visit: Visit) -> None:
    visitor = visit("is_staff").log_in()
    websockets = [
        by_session(site, visitor),
        by_session(site, visitor, "/identity/staff"),
        by_token(site, visitor),
    ]
    visitor.act("save")
    visitor.act("log_in")
    assert all(map(is_open, websockets))


# ── permissions ──────────────────────────────────────────────────────────────────────────────────────────

LOSSES = [
    ("/identity/staff", {"is_staff": "on"}, "degrade"),
    ("/identity/staff", {"is_superuser": "on"}, "degrade"),
    ("/identity/staff", {"is_staff": "on"}, "take_quietly"),
    ("/identity/permission", {"is_superuser": "on"}, "degrade"),
    ("/identity/permission", {"view_user": "on"}, "take_permission"),
    ("/identity/permission", {"group": "viewers"}, "leave_group"),
    ("/identity/permission", {"group": "viewers"}, "weaken_group"),
    ("/identity/permission", {"group": "viewers"}, "delete_group"),
]


@pytest.mark.parametrize(("path", "options", "action"), LOSSES)
def test_losing_what_a_guard_asked_for_closes(
    site: Site, visit: Visit, path: str, options: dict[str, str], action: str
) -> None:
    visitor = visit(**options).log_in()
    unguarded = by_session(site, visitor)
    guarded = [by_session(site, visitor, path), by_token(site, visitor, path)]
    visitor.act(action)
    assert [websocket.wait_closed() for websocket in guarded] == [(4403, "permission lost")] * 2
    assert is_open(unguarded)


def test_losing_one_of_two_ways_in_closes_nothing(site: Site, visit: Visit) -> None:
    visitor = visit("view_user", group="viewers").log_in()
    websocket = by_session(site, visitor, "/identity/permission")
    visitor.act("leave_group")
    assert is_open(websocket)
    visitor.act("take_permission")
    assert websocket.wait_closed() == (4403, "permission lost")


def test_what_is_rolled_back_closes_nothing(site: Site, visit: Visit) -> None:
    visitor = visit("is_staff", "view_user", group="viewers").log_in()
    websockets = [
        by_session(site, visitor),
        by_token(site, visitor),
        by_session(site, visitor, "/identity/staff"),
        by_session(site, visitor, "/identity/permission"),
    ]
    visitor.act("roll_back")
    assert all(map(is_open, websockets))


def test_an_application_can_close_the_connections_of_a_user(site: Site, visit: Visit) -> None:
    visitor, other = visit(), visit()
    websocket, staying = by_token(site, visitor), by_token(site, other)
    visitor.act("disconnect")
    assert websocket.wait_closed() == (4000, "go away")
    assert is_open(staying)


def test_neither_tokens_nor_sessions_are_logged(site: Site, visit: Visit) -> None:
    visitor = visit().log_in()
    session, token = visitor.cookies["Cookie"].partition("=")[2], sign_briefly(user_id=visitor.pk)
    by_session(site, visitor)
    opened(site, f"/identity/any?token={token}", {}).wait_closed()
    visitor.act("log_out")
    site.probe()
    output = site.output()
    assert "closed with 4401: logged out" in output
    assert "closed with 4401: token expired" in output
    assert session not in output
    assert token not in output


# ── several processes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("action", "reason"), [("log_out", "logged out"), *USER_EVENTS])
def test_the_connections_of_every_worker_are_closed(workers: LiveSite, action: str, reason: str) -> None:
    visitor = Visitor(workers).log_in()
    serving: dict[int, list[Session]] = {}
    deadline = time.monotonic() + TIMEOUT
    while len(serving) < 2:
        assert time.monotonic() < deadline
        websocket = workers.connect("/identity/worker", headers=visitor.cookies)
        serving.setdefault(websocket.receive_json(), []).append(websocket)
    visitor.act(action)
    for websocket in [websocket for served in serving.values() for websocket in served]:
        assert websocket.wait_closed() == (4401, reason)


@pytest.fixture(scope="module")
def server_with_workers(live_servers: LiveServers) -> Iterator[LiveServer]:
    """A live server with two worker processes."""
    bolt = {"BROKER": "local://users-of-two-workers"}
    server = live_servers.start("--noreload", "--workers", "2", bolt=bolt)
    wait_for_workers(server)
    yield server
    server.stop()


def wait_for_workers(server: LiveServer) -> None:
    """Wait until both workers serve: the server names its port before they do."""
    seen: set[str | bytes] = set()
    deadline = time.monotonic() + PATIENCE
    while len(seen) < 2:
        assert time.monotonic() < deadline
        try:
            with connect(f"ws://{server.host}/ws/topics/room/0", proxy=None) as websocket:
                seen.add(websocket.recv())
        except OSError:
            time.sleep(0.01)


@pytest.fixture
def workers(server_with_workers: LiveServer) -> Iterator[LiveSite]:
    """The test project on that server."""
    site = LiveSite(server_with_workers)
    yield site
    site.close()
