"""Messages into types and back, on a live server and on a `TestClient`.

The endpoints are in `tests.project.typed_api`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.sites import Closed, Site

GOOD: list[tuple[str, Any, Any]] = [
    ("struct", {"type": "say", "text": "hi"}, {"Say": {"type": "say", "text": "hi", "times": 1}}),
    ("union", {"type": "leave"}, {"Leave": {"type": "leave"}}),
    ("dataclass", {"x": 1, "y": 2}, {"Point": {"x": 1, "y": 2.0}}),
    ("typed-dict", {"name": "Ada", "more": 1}, {"dict": {"name": "Ada"}}),
    ("model", {"colour": "red", "at": ["1"]}, {"Paint": {"type": "paint", "colour": "red", "at": [1]}}),
    ("models", {"type": "wipe"}, {"Wipe": {"type": "wipe"}}),
    ("discriminated", [{"type": "wipe"}], {"list": [{"type": "wipe"}]}),
    ("list", [{"x": 1}, {"x": 2}], {"list": [{"x": 1, "y": 0.0}, {"x": 2, "y": 0.0}]}),
]


@pytest.mark.parametrize(("name", "message", "answer"), GOOD)
@pytest.mark.parametrize("kind", [str, bytes])
def test_what_fits_is_built(site: Site, name: str, message: Any, answer: Any, kind: type) -> None:
    text = json.dumps(message)
    websocket = site.connect(f"/typed/receive/{name}")
    websocket.send(text if kind is str else text.encode())
    assert websocket.receive_json() == answer


BAD: list[tuple[str, Any, list[str]]] = [
    ("struct", {"type": "say", "text": "hi", "times": 4}, ["$.times"]),
    ("union", {"type": "shout"}, ["$.type"]),
    ("dataclass", {"x": "one"}, ["$.x"]),
    ("typed-dict", {}, ["$"]),
    ("model", {"at": [1, "two"]}, ["$.colour", "$.at[1]"]),
    ("models", {"type": "paint"}, ["$.colour", "$.at"]),
    ("discriminated", [{"type": "paint", "colour": "red", "at": 1}], ["$[0].at"]),
    ("list", [{"x": 1}, {"x": "two"}], ["$[1].x"]),
]


@pytest.mark.parametrize(("name", "message", "paths"), BAD)
def test_what_does_not_fit_says_where_and_the_handler_goes_on(
    site: Site, name: str, message: Any, paths: list[str]
) -> None:
    websocket = site.connect(f"/typed/receive/{name}")
    websocket.send(json.dumps(message))
    errors = websocket.receive_json()["invalid"]
    assert [error["path"] for error in errors] == paths
    assert all(error["reason"] for error in errors)
    good = next(row for row in GOOD if row[0] == name)
    websocket.send(json.dumps(good[1]))
    assert websocket.receive_json() == good[2]


@pytest.mark.parametrize(("name", "message", "paths"), BAD)
def test_unhandled_it_closes_with_1007(site: Site, name: str, message: Any, paths: list[str]) -> None:
    websocket = site.connect(f"/typed/iterate/{name}")
    websocket.send(json.dumps(message))
    with pytest.raises(Closed) as closed:
        websocket.receive()
    assert (closed.value.code, closed.value.reason) == (1007, "invalid message")
    assert "Traceback" not in site.output()


def test_everything_with_a_json_form_is_sent(site: Site) -> None:
    assert site.connect("/typed/send").receive_json() == {
        "struct": {"type": "say", "text": "hi", "times": 1},
        "dataclass": {"x": 1, "y": 0.0},
        "models": [{"type": "paint", "colour": "red", "at": [1, 2]}, {"wipe": {"type": "wipe"}}],
        "datetime": "2026-02-28T12:30:00Z",
        "date": "2026-02-28",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "decimal": "1.10",
        "enum": "red",
        "lazy": "Yes",
        "No": "<b>",
        "set": [1],
    }
