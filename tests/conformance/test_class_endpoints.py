"""Class endpoints, on a live server and on a `TestClient`; the endpoints are in `tests.project.typed_api`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.sites import Closed, Rejected, Session, Site, with_bolt


def say(websocket: Session, **message: Any) -> None:
    websocket.send(json.dumps(message))


def ending(websocket: Session) -> tuple[int, str]:
    """Receive what must be the end."""
    with pytest.raises(Closed) as closed:
        websocket.receive()
    return closed.value.code, closed.value.reason


def test_a_message_goes_to_the_method_of_its_type(site: Site) -> None:
    websocket = site.connect("/typed/chat/7?name=ada")
    say(websocket, type="say", text="hi", times=2)
    assert websocket.receive_json() == {"type": "said", "text": "hihi", "by": "Ada"}
    say(websocket, type="say", text="")
    say(websocket, type="unheard", of=1)
    assert websocket.receive_json() == {"type": "unheard", "of": 1}
    say(websocket, type="leave")
    assert ending(websocket) == (4001, "left 7")
    site.wait_for_events("connected 7 Ada", "disconnected 4001 'left 7'")


def test_each_connection_has_a_state_of_its_own(site: Site) -> None:
    websockets = {name: site.connect(f"/typed/chat/1?name={name}") for name in ("ada", "bob")}
    for name, websocket in websockets.items():
        say(websocket, type="say", text="hi")
        assert websocket.receive_json()["by"] == name.title()


def test_parameters_that_do_not_convert_are_refused(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/typed/chat/seven")
    assert refusal.value.status == 422
    assert [error["parameter"] for error in refusal.value.json()["errors"]] == ["room_id"]


@pytest.mark.parametrize(
    ("message", "detail", "path"),
    [
        ("{", "Input data was truncated", "$"),
        ("[]", "Expected `object`, got `array`", "$"),
        ('{"type":"say"}', "Object missing required field `text`", "$"),
        (b'{"type":"say","text":"hi","times":9}', "Expected `int` <= 3", "$.times"),
    ],
)
def test_an_invalid_message_is_answered_and_the_connection_goes_on(
    site: Site, message: str | bytes, detail: str, path: str
) -> None:
    websocket = site.connect("/typed/chat/1")
    websocket.send(message)
    assert websocket.receive_json() == {
        "type": "error",
        "error": "invalid_message",
        "detail": detail,
        "path": path,
    }
    say(websocket, type="say", text="still here")
    assert websocket.receive_json()["text"] == "still here"


@with_bolt(INVALID_MESSAGES="close")
def test_a_setting_makes_an_invalid_message_close(site: Site) -> None:
    websocket = site.connect("/typed/chat/1")
    say(websocket, type="say")
    assert ending(websocket) == (1007, "invalid message")
    site.wait_for_events("connected 1 Nobody", "disconnected 1007 'invalid message'")


def test_a_class_makes_an_invalid_message_close(site: Site) -> None:
    websocket = site.connect("/typed/strict")
    say(websocket, type="paint", colour="red", at=[])
    assert websocket.receive_json() == "Paint"
    say(websocket, type="wipe")
    assert websocket.receive_json() == "Wipe"
    say(websocket, type="paint")
    assert ending(websocket) == (1007, "invalid message")
    site.wait_for_events("disconnected 1007 'invalid message'")


def test_raw_messages_come_and_go_as_they_are(site: Site) -> None:
    websocket = site.connect("/typed/echo")
    for message in ("text", b"\x00binary", "", b""):
        websocket.send(message)
        assert websocket.receive() == message


def test_the_other_kind_of_message_is_answered_by_an_error(site: Site) -> None:
    websocket = site.connect("/typed/text")
    websocket.send(b"binary")
    assert websocket.receive_json()["error"] == "unsupported_data"
    websocket.send("text")
    assert websocket.receive() == "text"


@pytest.mark.parametrize(("how", "expected"), [("error", (1011, "")), ("exception", (4005, "enough"))])
def test_what_a_method_raises_ends_the_connection(site: Site, how: str, expected: tuple[int, str]) -> None:
    websocket = site.connect("/typed/chat/1")
    say(websocket, fail=how)
    assert ending(websocket) == expected
    site.wait_for_events("connected 1 Nobody", f"disconnected {expected[0]} {expected[1]!r}")
    if how == "error":
        site.wait_for_output("KeyError")
    else:
        assert "Traceback" not in site.output()


def test_a_client_that_closes(site: Site) -> None:
    site.connect("/typed/chat/1").close(4000, "bye")
    site.wait_for_events("connected 1 Nobody", "disconnected 4000 'bye'")


def test_a_client_that_vanishes(site: Site) -> None:
    site.connect("/typed/chat/1").vanish()
    site.wait_for_events("connected 1 Nobody", "disconnected 1006 ''")


@with_bolt(DISCONNECT_GRACE=0.1)
def test_a_method_that_outlives_its_client_is_cancelled_and_the_end_is_told(site: Site) -> None:
    websocket = site.connect("/typed/chat/1")
    say(websocket, wait=True)
    site.wait_for_events("connected 1 Nobody", "waits")
    websocket.close(4000, "bye")
    site.wait_for_events("connected 1 Nobody", "waits", "disconnected 4000 'bye'")


def test_a_client_that_on_connect_refuses(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/typed/refuse/reject")
    assert (refusal.value.status, refusal.value.body) == (404, b"gone")
    assert ending(site.connect("/typed/refuse/close")) == (4003, "no")
    assert site.events() == []
