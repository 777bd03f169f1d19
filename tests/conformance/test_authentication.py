"""Who may come in, and how the handler knows it, on a live server and on a `TestClient`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings

from tests.conformance.accounts import Visitor
from tests.conformance.sites import Closed, Rejected, Site, with_bolt
from tests.project.identity_api import API_KEY

Visit = Callable[..., Visitor]

FOREIGN = "https://evil.example"

# By threads of its own, the server sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def sign(**claims: Any) -> str:
    return jwt.encode({"exp": int(time.time()) + 3600, **claims}, settings.SECRET_KEY, "HS256")


def refusal(site: Site, path: str, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as refused:
        site.connect(path, **options)
    return refused.value


# ── session ──────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_logged_in_at_the_site_is_known(site: Site, visit: Visit) -> None:
    visitor = visit().log_in()
    websocket = site.connect("/identity/session", headers=visitor.cookies, origin=site.origin)
    assert websocket.receive_json() == {
        "user_id": visitor.pk,
        "claims": {},
        "permissions": None,
        "backend": "SessionAuthentication",
        "username": visitor.username,
    }


def test_without_a_session_the_answer_is_401(site: Site, visit: Visit) -> None:
    visitor = visit()
    for headers in ({}, visitor.cookies, {"Cookie": f"{settings.SESSION_COOKIE_NAME}={'x' * 32}"}):
        refused = refusal(site, "/identity/session", headers=headers)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Session"
        assert refused.json() == {"detail": "Authentication required."}
    assert site.events() == []


def test_after_logging_out_the_session_is_gone(site: Site, visit: Visit) -> None:
    visitor = visit().log_in()
    cookies = visitor.cookies
    site.connect("/identity/session", headers=cookies).close()
    visitor.act("log_out")
    assert refusal(site, "/identity/session", headers=cookies).status == 401


def test_a_session_does_not_outlive_the_password(site: Site, visit: Visit) -> None:
    visitor, other = visit().log_in(), visit()
    cookies = visitor.cookies
    other.act("change_password", username=visitor.username)
    assert refusal(site, "/identity/session", headers=cookies).status == 401


@with_bolt(ALLOWED_ORIGINS=["*"])
def test_a_foreign_page_may_not_use_the_session_even_where_any_origin_is_let_in(
    site: Site, visit: Visit
) -> None:
    visitor = visit().log_in()
    refused = refusal(site, "/identity/session", headers=visitor.cookies, origin=FOREIGN)
    assert refused.status == 403
    assert refusal(site, "/identity/session", origin=FOREIGN).status == 401
    assert visitor.cookies["Cookie"].partition("=")[2] not in site.output()
    site.connect("/identity/session", headers=visitor.cookies, origin=site.origin).close()
    site.connect("/identity/session", headers=visitor.cookies).close()


@with_bolt(ALLOWED_ORIGINS=[FOREIGN])
def test_a_page_of_a_listed_origin_may(site: Site, visit: Visit) -> None:
    site.connect("/identity/session", headers=visit().log_in().cookies, origin=FOREIGN).close()


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offered", "chosen", "accepted"),
    [
        (["bolt", "bearer.{}"], None, "bolt"),
        (["bearer.{}", "bolt"], None, "bolt"),
        (["chat", "bearer.{}"], "chat", "chat"),
        (["bolt", "bearer.{}", "chat"], "chat", "chat"),
        (["chat", "Bearer.{}"], None, None),
        (["bearer.{}"], None, None),
    ],
)
def test_a_token_among_the_subprotocols_is_never_accepted_as_one(
    site: Site, offered: list[str], chosen: str | None, accepted: str | None
) -> None:
    token = sign(user_id=7)
    entries = [entry.format(token) for entry in offered]
    query = f"?chosen={chosen}" if chosen else ""
    websocket = site.connect(f"/identity/token{query}", subprotocols=entries)
    assert websocket.receive_json() == {
        "user_id": 7,
        "offered": [entry for entry in offered if not entry.lower().startswith("bearer.")],
    }
    assert websocket.subprotocol == accepted
    assert token not in str(websocket.response_headers)
    site.probe()
    assert token not in site.output()


@pytest.mark.parametrize("chosen", ["other", "bearer.{}"])
def test_accepting_what_was_not_offered_reveals_no_token(site: Site, chosen: str) -> None:
    token = sign(user_id=7)
    refused = refusal(
        site, f"/identity/token?chosen={chosen.format(token)}", subprotocols=["chat", f"bearer.{token}"]
    )
    assert refused.status == 500
    site.wait_for_output("ValueError")
    assert token not in site.output()


@with_bolt(ALLOWED_ORIGINS=["*"])
def test_a_token_in_a_cookie_is_accepted_from_pages_of_the_site_alone(site: Site) -> None:
    headers = {"Cookie": f"jwt={sign(user_id=7)}"}
    assert site.connect("/identity/token", headers=headers, origin=site.origin).receive_json()["user_id"] == 7
    assert site.connect("/identity/token", headers=headers).receive_json()["user_id"] == 7
    assert refusal(site, "/identity/token", headers=headers, origin=FOREIGN).status == 403
    fine = site.connect(f"/identity/token?token={sign(user_id=8)}", headers=headers, origin=FOREIGN)
    assert fine.receive_json()["user_id"] == 8


# ── API keys ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["header", "query"])
def test_an_api_key_lets_its_owner_in(site: Site, way: str) -> None:
    headers = {"X-API-Key": API_KEY} if way == "header" else {}
    websocket = site.connect("/identity/key" + (f"?key={API_KEY}" if way == "query" else ""), headers=headers)
    shown = websocket.receive_json()
    assert (shown["user_id"], shown["backend"]) == ("warehouse", "APIKeyAuthentication")
    assert shown["claims"]["role"] == "sensor"
    assert shown["username"] == ""
    assert API_KEY not in site.output()


def test_a_wrong_api_key_is_401(site: Site) -> None:
    refused = refusal(site, "/identity/key", headers={"X-API-Key": "guessed"})
    assert (refused.status, refused.json()) == (401, {"detail": "The API key is not valid."})
    assert refused.headers["www-authenticate"] == "ApiKey"
    assert "guessed" not in site.output()


# ── one's own, and several ───────────────────────────────────────────────────────────────────────────────


def test_an_authentication_and_a_guard_of_ones_own_may_use_the_orm(site: Site, visit: Visit) -> None:
    visitor = visit()
    shown = site.connect(f"/identity/name?name={visitor.username}").receive_json()
    assert (shown["user_id"], shown["username"]) == (visitor.pk, visitor.username)
    assert refusal(site, "/identity/name?name=nobody-has-it").json() == {"detail": "Nobody has this name."}


def test_several_are_tried_in_order(site: Site, visit: Visit) -> None:
    visitor = visit().log_in()
    token = sign(user_id=visitor.pk)
    ways: list[tuple[str, dict[str, str], str | None]] = [
        (f"?key={API_KEY}&token={token}", visitor.cookies, "APIKeyAuthentication"),
        (f"?token={token}&name={visitor.username}", visitor.cookies, "JWTAuthentication"),
        (f"?name={visitor.username}", visitor.cookies, "SessionAuthentication"),
        (f"?name={visitor.username}", {}, "ByName"),
        ("", {}, None),
    ]
    for query, headers, backend in ways:
        shown = site.connect(f"/identity/any{query}", headers=headers).receive_json()
        assert shown.get("backend") == backend
    assert refusal(site, "/identity/any?key=wrong", headers=visitor.cookies).status == 401


# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "status"), [(["is_staff"], None), (["is_superuser"], None), (["view_user"], 403), ([], 403)]
)
def test_guards_combine(site: Site, visit: Visit, options: list[str], status: int | None) -> None:
    visitor = visit(*options).log_in()
    if status is None:
        site.connect("/identity/staff", headers=visitor.cookies).close()
        site.connect(f"/identity/staff?token={sign(sub=str(visitor.pk))}").close()
    else:
        assert refusal(site, "/identity/staff", headers=visitor.cookies).status == status
        assert refusal(site, f"/identity/staff?token={sign(user_id=visitor.pk)}").status == status


@pytest.mark.parametrize("path", ["/identity/staff", "/identity/permission", "/identity/sensor"])
def test_who_brings_no_credentials_is_asked_for_them(site: Site, path: str) -> None:
    assert refusal(site, path).status == 401


@pytest.mark.parametrize(
    ("options", "passes"),
    [({"view_user": "on"}, True), ({"group": "viewers"}, True), ({"is_superuser": "on"}, True), ({}, False)],
)
def test_permissions_are_asked_of_django(
    site: Site, visit: Visit, options: dict[str, str], passes: bool
) -> None:
    visitor = visit(**options).log_in()
    if passes:
        shown = site.connect("/identity/permission", headers=visitor.cookies).receive_json()
        assert "auth.view_user" in shown["permissions"]
    else:
        assert refusal(site, "/identity/permission", headers=visitor.cookies).status == 403


def test_a_claim_can_be_required(site: Site) -> None:
    site.connect("/identity/sensor", headers={"X-API-Key": API_KEY}).close()
    site.connect(f"/identity/sensor?token={sign(user_id=1, role=['sensor', 'x'])}").close()
    assert refusal(site, f"/identity/sensor?token={sign(user_id=1, role='reader')}").status == 403


# ── websocket.user ───────────────────────────────────────────────────────────────────────────────────────


def test_the_user_is_loaded_in_a_thread_and_refused_on_the_loop(site: Site, visit: Visit) -> None:
    visitor = visit()
    websocket = site.connect(f"/identity/lazy?token={sign(user_id=visitor.pk)}")
    websocket.send("thread")
    assert websocket.receive() == visitor.username
    websocket = site.connect(f"/identity/lazy?token={sign(user_id=visitor.pk)}")
    websocket.send("loop")
    with pytest.raises(Closed) as closed:
        websocket.receive()
    assert closed.value.code == 1011
    site.wait_for_output("user = await websocket.auser()")


def test_a_session_has_its_user_loaded_already(site: Site, visit: Visit) -> None:
    visitor = visit().log_in()
    websocket = site.connect("/identity/lazy", headers=visitor.cookies)
    websocket.send("loop")
    assert websocket.receive() == visitor.username
