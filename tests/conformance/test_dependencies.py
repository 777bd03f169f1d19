"""Dependencies of handlers, on a live server and on a `TestClient`.

The endpoints are in `tests.project.dependencies_api`.
"""

from __future__ import annotations

import signal

import pytest

from tests.conformance.sites import LiveSite, Rejected, Site, with_bolt
from tests.live_server import LiveServers

OPENED = ("visit", "thread opened", "loop opened", "began")


def closed(error: str) -> tuple[str, ...]:
    """Return what is noted of generators that are thrown an exception."""
    return f"loop saw {error}", "loop closed", f"thread saw {error}", "thread closed"


def test_values_are_nested_shared_and_take_parameters(site: Site) -> None:
    websocket = site.connect("/dependencies/values/a?page=3&limit=7", headers={"Cookie": "size=20"})
    assert websocket.receive_json() == ["a", 40, 7, 40, 3]
    site.wait_for_events("visit", "offset")


def test_bad_parameters_of_dependencies_are_named_before_anything_runs(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/dependencies/values/a?page=x&limit=y", headers={"Cookie": "size=z"})
    assert refusal.value.status == 422
    assert [(error["parameter"], error["in"]) for error in refusal.value.json()["errors"]] == [
        ("page", "query"),
        ("size", "cookie"),
        ("limit", "query"),
    ]
    assert site.events() == []


def test_a_dependency_without_a_value_lets_in(site: Site) -> None:
    assert site.connect("/dependencies/locked/1", headers={"X-Key": "right"}).receive() == "unlocked"


def test_a_dependency_refuses_with_a_response(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/dependencies/locked/1", headers={"X-Key": "wrong"})
    assert (refusal.value.status, refusal.value.json()) == (402, {"detail": "Wrong key."})
    assert refusal.value.headers["x-hint"] == "right"


def test_a_dependency_refuses_with_a_close_code(site: Site) -> None:
    websocket = site.connect("/dependencies/locked/1", headers={"X-Key": "close"})
    assert websocket.wait_closed() == (4001, "wrong key")


def test_a_dependency_that_raises_is_500(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/dependencies/locked/1", headers={"X-Key": "crash"})
    assert (refusal.value.status, refusal.value.json()) == (500, {"detail": "Internal Server Error"})
    site.wait_for_output("secret of a dependency")


def test_generators_end_after_the_handler_returned(site: Site) -> None:
    websocket = site.connect("/dependencies/held/returns")
    assert websocket.receive() == "loop on thread"
    assert websocket.wait_closed() == (1000, "")
    assert site.events() == [*OPENED, "returned", "loop closed", "thread closed"]


def test_generators_end_after_the_handler_raised(site: Site) -> None:
    websocket = site.connect("/dependencies/held/raises")
    assert websocket.wait_closed() == (1011, "")
    assert site.events() == [*OPENED, "raised LookupError", *closed("LookupError")]
    assert site.output().count("LookupError: secret of a handler") == 1


@pytest.mark.parametrize("how", ["close", "vanish"])
def test_generators_end_after_the_client_left(site: Site, how: str) -> None:
    websocket = site.connect("/dependencies/held/receives")
    assert websocket.receive() == "loop on thread"
    getattr(websocket, how)()
    code = 1000 if how == "close" else 1006
    site.wait_for_events(*OPENED, f"disconnected {code} ''", *closed("WebSocketDisconnect"))
    assert "Traceback" not in site.output()


@with_bolt(DISCONNECT_GRACE=0.1)
def test_generators_end_after_the_handler_was_cancelled(site: Site) -> None:
    websocket = site.connect("/dependencies/held/waits")
    assert websocket.receive() == "loop on thread"
    websocket.close()
    site.wait_for_events(*OPENED, "raised CancelledError", *closed("CancelledError"))
    assert "Traceback" not in site.output()


def test_generators_end_after_a_refusal(site: Site) -> None:
    with pytest.raises(Rejected) as refusal:
        site.connect("/dependencies/held-and-refused")
    assert (refusal.value.status, refusal.value.json()) == (402, {"detail": "Not today."})
    assert site.events() == [*OPENED[:3], *closed("HTTPException")]


def test_an_error_in_clean_up_is_logged_and_changes_nothing(site: Site) -> None:
    websocket = site.connect("/dependencies/fails-to-let-go")
    assert websocket.wait_closed() == (4100, "as agreed")
    site.wait_for_events(*OPENED[:3], "loop closed", "thread closed")
    site.wait_for_output("LookupError: secret of a clean-up")
    output = site.output()
    assert "clean-up of tests.project.dependencies_api.fail_to_let_go" in output
    assert output.count("LookupError: secret of a clean-up") == 1


@pytest.mark.parametrize("end", ["receives", "waits"])
def test_generators_end_when_the_server_stops(live_servers: LiveServers, end: str) -> None:
    server = live_servers.start(bolt={"DRAIN_TIMEOUT": 0.3, "CLOSE_TIMEOUT": 0.3})
    site = LiveSite(server)
    websocket = site.connect(f"/dependencies/held/{end}")
    assert websocket.receive() == "loop on thread"
    server.send_signal(signal.SIGTERM)
    assert websocket.wait_closed()[0] == 1012
    assert server.wait() == 0
    assert "Let go on the loop" in server.output()
    assert "Traceback" not in server.output()
    site.close()
