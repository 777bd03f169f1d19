from __future__ import annotations

from dataclasses import dataclass

import pytest

from django_bolt.endpoints.routing import PathPattern, Router, parse_path
from django_bolt.exceptions import EndpointCollision, InvalidPath

LOCATION = "chat.api.room (chat/api.py:10)"


@dataclass(frozen=True)
class Route:
    pattern: PathPattern
    location: str = LOCATION


def make_router(*paths: str) -> Router[Route]:
    return Router.of(Route(parse_path(path, LOCATION)) for path in paths)


def match(path: str, *declared: str) -> tuple[str, dict[str, str]] | None:
    found = make_router(*declared).match(path)
    return found and (found.endpoint.pattern.text, found.path_params)


def test_an_angle_bracket_alone_is_no_parameter() -> None:
    assert match("/a<b", "/a<b") == ("/a<b", {})


def test_a_static_path_matches_itself() -> None:
    assert match("/ws/echo", "/ws/echo", "/ws/other") == ("/ws/echo", {})


def test_the_root_is_a_path() -> None:
    assert match("/", "/") == ("/", {})


@pytest.mark.parametrize(
    "path", ["/ws", "/ws/", "/ws/echo/", "/ws/Echo", "//ws/echo", "/ws//echo", "ws/echo", ""]
)
def test_only_the_very_path_matches(path: str) -> None:
    assert match(path, "/ws/echo") is None


def test_a_slash_at_the_end_counts() -> None:
    assert match("/ws/", "/ws", "/ws/") == ("/ws/", {})
    assert match("/ws", "/ws", "/ws/") == ("/ws", {})


def test_parameters_take_one_segment_each() -> None:
    path = "/tenant/{tenant}/room/{room_id}"
    assert match("/tenant/a/room/42", path) == (path, {"tenant": "a", "room_id": "42"})
    assert match("/tenant/a/b/room/42", path) is None


def test_a_parameter_takes_no_empty_segment() -> None:
    assert match("/room/", "/room/{room_id}") is None


def test_the_rest_takes_slashes() -> None:
    assert match("/files/a/b/c", "/files/{rest:path}") == ("/files/{rest:path}", {"rest": "a/b/c"})
    assert match("/files/a/", "/files/{rest:path}") == ("/files/{rest:path}", {"rest": "a/"})
    assert match("/files/", "/files/{rest:path}") is None
    assert match("/files", "/files/{rest:path}") is None


def test_a_rest_may_follow_a_parameter() -> None:
    path = "/{owner}/files/{rest:path}"
    assert match("/me/files/x/y", path) == (path, {"owner": "me", "rest": "x/y"})


@pytest.mark.parametrize(
    ("path", "winner"),
    [("/a/b", "/a/b"), ("/a/c", "/a/{x}"), ("/a/c/d", "/a/{x:path}"), ("/a/b/", "/a/{x:path}")],
)
@pytest.mark.parametrize("order", [1, -1])
def test_static_wins_over_a_parameter_and_that_over_a_rest(path: str, winner: str, order: int) -> None:
    declared = ["/a/b", "/a/{x}", "/a/{x:path}"][::order]
    found = match(path, *declared)
    assert found is not None
    assert found[0] == winner


def test_a_static_segment_that_leads_nowhere_is_given_up() -> None:
    assert match("/a/b/c", "/a/b/d", "/a/{x}/c") == ("/a/{x}/c", {"x": "b"})
    assert match("/a/b/e", "/a/b/d", "/a/{x}/c", "/{all:path}") == ("/{all:path}", {"all": "a/b/e"})


def test_segments_are_percent_decoded() -> None:
    assert match("/room/caf%C3%A9%20noir", "/room/{name}") == ("/room/{name}", {"name": "café noir"})
    assert match("/%77s/echo", "/ws/echo") == ("/ws/echo", {})
    assert match("/caf%c3%a9", "/café") == ("/café", {})


def test_an_encoded_slash_stays_in_its_segment() -> None:
    assert match("/room/a%2Fb", "/room/{name}") == ("/room/{name}", {"name": "a/b"})
    assert match("/room%2Fa", "/room/{name}", "/room/a") is None


@pytest.mark.parametrize("segment", ["%FF", "%C3", "%ED%A0%80", "%C0%AF"])
def test_a_path_that_is_not_utf_8_matches_nothing(segment: str) -> None:
    assert match(f"/room/{segment}", "/room/{name}", "/{all:path}") is None


@pytest.mark.parametrize(
    ("segment", "name"), [("100%", "100%"), ("%zz", "%zz"), ("a+b", "a+b"), ("%2541", "%41")]
)
def test_decoding_happens_once_and_leaves_alone_what_is_not_encoded(segment: str, name: str) -> None:
    assert match(f"/room/{segment}", "/room/{name}") == ("/room/{name}", {"name": name})


def test_a_long_path_costs_no_depth() -> None:
    assert match("/" + "a/" * 8000, "/{x}/{y}") is None
    found = match("/" + "a/" * 8000, "/{rest:path}")
    assert found is not None
    assert len(found[1]["rest"]) == 16000


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/room/{room_id}", "/room/{name}"),
        ("/{a}/x/{b}", "/{c}/x/{d}"),
        ("/f/{rest:path}", "/f/{all:path}"),
        ("/f/{name}", "/f/{name:str}"),
    ],
)
def test_two_endpoints_on_one_path_are_refused(first: str, second: str) -> None:
    router: Router[Route] = Router()
    router.add(Route(parse_path(first, "a"), "shop.api.one (shop/api.py:3)"))
    with pytest.raises(EndpointCollision) as caught:
        router.add(Route(parse_path(second, "b"), "blog.api.two (blog/api.py:7)"))
    assert "shop.api.one (shop/api.py:3)" in str(caught.value)
    assert "blog.api.two (blog/api.py:7)" in str(caught.value)
    assert caught.value.path == second


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("ws/echo", "must start with '/'"),
        ("", "must start with '/'"),
        ("/ws?x=1", "must not contain"),
        ("/ws#top", "must not contain"),
        ("/a%20b", "without percent-encoding"),
        ("/room/{room_id:int}", "unknown converter 'int'"),
        ("/room/{room_id:}", "unknown converter ''"),
        ("/{a}/{a}", "'a' occurs twice"),
        ("/room/<int:room_id>", "'<int:room_id>' is of Django's URLs; write '{room_id}'"),
        ("/room/<room_id>/", "write '{room_id}'"),
        ("/room-{room_id}", "whole segment"),
        ("/{a}{b}", "whole segment"),
        ("/{a", "whole segment"),
        ("/a}", "whole segment"),
        ("/{}", "no name"),
        ("/{1a}", "no name"),
        ("/{rest:path}/more", "last segment"),
        ("/{rest:path}/{more}", "last segment"),
    ],
)
def test_a_path_that_cannot_be_served_is_refused_with_its_place(path: str, problem: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        parse_path(path, LOCATION)
    assert problem in str(caught.value)
    assert LOCATION in str(caught.value)
    assert repr(path) in str(caught.value)
