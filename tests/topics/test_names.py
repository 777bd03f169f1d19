from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum

import pytest
from django.utils.safestring import mark_safe

from django_bolt.exceptions import InvalidTopic
from django_bolt.topics.names import MAX_TOPIC_LENGTH, check_subscription, check_topic, is_pattern, matches

GOOD = ["a", "room:1", " ", "zażółć", "部屋", "👩‍👩‍👧", "[x]?", "a.b/c\\d", "x" * MAX_TOPIC_LENGTH, "a$"]
BAD = {
    "": "must have 1 to 200 characters, not 0",
    "x" * (MAX_TOPIC_LENGTH + 1): "must have 1 to 200 characters, not 201",
    "a\nb": "control character '\\n'",
    "a\x00": "control character '\\x00'",
    "a\x85": "control character '\\x85'",
    "a\u2028": "control character '\\u2028'",
    "a\ud800": "control character '\\ud800'",
    "$own": "begin with $ are reserved",
}


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    assert check_topic(name) == name
    assert check_subscription(name) == name


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_bad_names_say_why(name: str) -> None:
    for check in (check_topic, check_subscription):
        with pytest.raises(InvalidTopic) as raised:
            check(name)
        assert BAD[name] in str(raised.value)
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("name", [None, b"bytes", 1])
def test_names_are_strings(name: object) -> None:
    with pytest.raises(InvalidTopic, match="must be a str"):
        check_topic(name)  # type: ignore[arg-type]


class Feed(StrEnum):
    NEWS = "news"


class Choice(str, Enum):  # noqa: UP042, as a project may have it
    NEWS = "news"


@pytest.mark.parametrize("name", [Feed.NEWS, Choice.NEWS, mark_safe("news")], ids=repr)
@pytest.mark.parametrize("check", [check_topic, check_subscription])
def test_whatever_class_a_text_has_its_name_is_plain(name: str, check: Callable[[str], str]) -> None:
    checked = check(name)
    assert (type(checked), checked) == (str, "news")


def test_reserved_names_are_for_the_library() -> None:
    assert check_topic("$own", reserved=True) == "$own"
    assert check_subscription("$own*", reserved=True) == "$own*"


@pytest.mark.parametrize("name", ["*", "orders.*"])
def test_patterns_are_for_subscribing(name: str) -> None:
    assert check_subscription(name) == name
    assert is_pattern(name)
    with pytest.raises(InvalidTopic, match="only for subscribing"):
        check_topic(name)


@pytest.mark.parametrize("name", ["*a", "a*b", "**"])
def test_the_star_is_the_last_character(name: str) -> None:
    with pytest.raises(InvalidTopic, match="may only be the last"):
        check_subscription(name)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("orders.*", "orders.1", True),
        ("orders.*", "orders.1.items", True),
        ("orders.*", "orders.", True),
        ("orders.*", "orders", False),
        ("*", "anything", True),
        ("*", "$own", False),
        ("$o*", "$own", True),
    ],
)
def test_matches(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected
