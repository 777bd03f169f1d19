from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_bolt.auth import IsAuthenticated
from django_bolt.conf import BoltSettings, bolt_settings, find_problems

SIZES = [
    "MAX_MESSAGE_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_FRAGMENTS",
    "MAX_HEAD_SIZE",
    "MAX_CONNECTIONS",
    "MAX_THREADS",
    "MAX_SYNC_HANDLERS",
    "INBOUND_LIMIT",
    "OUTBOUND_LIMIT",
    "BROKER_QUEUE_LIMIT",
    "MAX_PUBLICATION_SIZE",
]
COUNTS_OR_OFF = ["MAX_CONNECTIONS_PER_IP", "MAX_CONNECTIONS_PER_USER", "MAX_SUBSCRIPTIONS"]
RATES_OR_OFF = ["MESSAGE_RATE", "BYTE_RATE"]
TIMES = [
    "HANDSHAKE_TIMEOUT",
    "PING_INTERVAL",
    "PING_TIMEOUT",
    "CLOSE_TIMEOUT",
    "DISCONNECT_GRACE",
    "DRAIN_TIMEOUT",
    "BROKER_TIMEOUT",
]


def test_defaults_are_those_of_the_design() -> None:
    assert {entry.name.upper(): entry.metadata["default"] for entry in fields(BoltSettings)} == {
        "API": None,
        "ALLOWED_ORIGINS": [],
        "TRUSTED_PROXIES": [],
        "AUTHENTICATION": [],
        "GUARDS": [],
        "INVALID_MESSAGES": "reply",
        "API_KEYS": [],
        "CLOSE_ON_EXPIRY": True,
        "CLOSE_ON_LOGOUT": True,
        "CLOSE_ON_PASSWORD_CHANGE": True,
        "CLOSE_ON_DEACTIVATION": True,
        "CLOSE_ON_PERMISSION_LOSS": True,
        "MAX_MESSAGE_SIZE": 1_048_576,
        "MAX_FRAME_SIZE": 1_048_576,
        "MAX_FRAGMENTS": 131_072,
        "MAX_HEAD_SIZE": 16_384,
        "MAX_CONNECTIONS": 10_000,
        "MAX_CONNECTIONS_PER_IP": None,
        "MAX_CONNECTIONS_PER_USER": None,
        "MESSAGE_RATE": None,
        "BYTE_RATE": None,
        "RATE_LIMIT_ACTION": "close",
        "INBOUND_LIMIT": 1_048_576,
        "OUTBOUND_LIMIT": 4_194_304,
        "HANDSHAKE_TIMEOUT": 10,
        "PING_INTERVAL": 20,
        "PING_TIMEOUT": 20,
        "CLOSE_TIMEOUT": 5,
        "DISCONNECT_GRACE": 10,
        "DRAIN_TIMEOUT": 10,
        "DRAIN_SPREAD": 2,
        "BROKER": "local://",
        "BROKER_OUTAGE": "raise",
        "BROKER_QUEUE_LIMIT": 16_777_216,
        "BROKER_TIMEOUT": 2,
        "MAX_PUBLICATION_SIZE": 1_048_576,
        "MAX_SUBSCRIPTIONS": 1_000,
        "MAX_THREADS": 20,
        "MAX_SYNC_HANDLERS": 40,
        "COMPRESSION": True,
    }


def test_defaults_obey_their_own_rules_and_are_described() -> None:
    assert (
        find_problems({entry.name.upper(): entry.metadata["default"] for entry in fields(BoltSettings)}) == []
    )
    assert all(entry.metadata["description"].endswith(".") for entry in fields(BoltSettings))
    assert {entry.metadata["unit"] for entry in fields(BoltSettings)} == {
        "",
        "bytes",
        "seconds",
        "a second",
        "bytes a second",
    }


def test_limits_say_whose_they_are_and_what_happens_beyond_them() -> None:
    limits = {
        entry.name.upper(): entry.metadata for entry in fields(BoltSettings) if "answer" in entry.metadata
    }
    assert set(limits) == {*SIZES, *COUNTS_OR_OFF, *RATES_OR_OFF, *TIMES}
    for metadata in limits.values():
        assert metadata["answer"].endswith(".")
        assert metadata["scope"].startswith("a ")


def test_without_bolt_in_settings_the_defaults_hold() -> None:
    assert bolt_settings() == BoltSettings()


def test_override_settings_is_respected_and_taken_back() -> None:
    before = bolt_settings()
    with override_settings(BOLT={"MAX_MESSAGE_SIZE": 10, "PING_INTERVAL": None}):
        assert bolt_settings().max_message_size == 10
        assert bolt_settings().ping_interval is None
    assert bolt_settings() == before


def test_settings_are_read_once() -> None:
    assert bolt_settings() is bolt_settings()


@pytest.mark.parametrize(
    ("api", "expected"), [("a.api", ("a.api",)), (["a.api", "b:c"], ("a.api", "b:c")), (None, None), ([], ())]
)
def test_api_is_a_path_or_paths(api: Any, expected: Any) -> None:
    with override_settings(BOLT={"API": api}):
        assert bolt_settings().api == expected


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", None, True, 2**41])
def test_sizes_are_whole_and_positive(key: str, value: Any) -> None:
    [problem] = find_problems({key: value})
    assert problem.key == key
    assert repr(value) in problem.message
    assert "of at least 1" in problem.hint


@pytest.mark.parametrize("key", COUNTS_OR_OFF)
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True, 2**41])
def test_counts_that_may_be_off_are_whole_and_positive(key: str, value: Any) -> None:
    [problem] = find_problems({key: value})
    assert repr(value) in problem.message
    assert "of at least 1, or None for no limit" in problem.hint
    assert find_problems({key: None}) == find_problems({key: 1}) == []


@pytest.mark.parametrize("key", RATES_OR_OFF)
@pytest.mark.parametrize("value", [0, -0.5, "10", True, float("inf"), float("nan"), [1]])
def test_rates_are_numbers_above_zero(key: str, value: Any) -> None:
    [problem] = find_problems({key: value})
    assert repr(value) in problem.message
    assert "above 0, or None for no limit" in problem.hint
    assert find_problems({key: None}) == find_problems({key: 0.5}) == find_problems({key: 100}) == []


@pytest.mark.parametrize("value", [None, "", "drop", "CLOSE", 1008, ["close"]])
def test_a_rate_is_answered_in_one_of_two_ways(value: Any) -> None:
    [problem] = find_problems({"RATE_LIMIT_ACTION": value})
    assert problem.hint == 'It must be "close" or "wait".'
    assert find_problems({"RATE_LIMIT_ACTION": "close"}) == find_problems({"RATE_LIMIT_ACTION": "wait"}) == []


@pytest.mark.parametrize(
    "value",
    [
        "10.0.0.1",
        None,
        ["*"],
        ["localhost"],
        ["10.0.0.1/8"],  # host bits are set: a slip in one of the two numbers
        ["10.0.0.0/33"],
        ["10.0.0.1:80"],
        ["[::1]"],
        ["UNIX"],
        [""],
        [None],
        [167772161],
        [b"\n\0\0\1"],
        ["10.0.0.1", "nonsense"],
    ],
)
def test_proxies_are_addresses_and_networks(value: Any) -> None:
    [problem] = find_problems({"TRUSTED_PROXIES": value})
    assert repr(value) in problem.message
    assert 'networks such as "10.0.0.0/8"' in problem.hint


def test_proxies_of_every_kind() -> None:
    proxies = ["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "0.0.0.0/0", "unix"]
    with override_settings(BOLT={"TRUSTED_PROXIES": proxies}):
        assert bolt_settings().trusted_proxies == tuple(proxies)


@pytest.mark.parametrize("key", TIMES)
@pytest.mark.parametrize("value", [-1, "10", True, float("inf"), float("nan"), 10**9])
def test_times_are_numbers(key: str, value: Any) -> None:
    [problem] = find_problems({key: value})
    assert problem.key == key
    assert "number of seconds" in problem.hint


@pytest.mark.parametrize("key", TIMES)
def test_only_pings_can_be_switched_off(key: str) -> None:
    assert bool(find_problems({key: None})) is (key not in ("PING_INTERVAL", "PING_TIMEOUT"))


@pytest.mark.parametrize("key", TIMES)
def test_only_draining_takes_no_time_at_all(key: str) -> None:
    assert bool(find_problems({key: 0})) is (key != "DRAIN_TIMEOUT")


@pytest.mark.parametrize("value", [0.001, 1, 2.5])
def test_times_may_be_fractions(value: float) -> None:
    assert find_problems(dict.fromkeys(TIMES, value)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("API", 5),
        ("API", "not a path"),
        ("API", [None]),
        ("ALLOWED_ORIGINS", "https://example.com"),
        ("ALLOWED_ORIGINS", ["example.com"]),
        ("AUTHENTICATION", "a.B"),
        ("GUARDS", [None]),
        ("GUARDS", ["no path!"]),
    ],
)
def test_lists_are_checked(key: str, value: Any) -> None:
    assert [problem.key for problem in find_problems({key: value})] == [key]


def test_guards_may_be_paths_classes_or_instances() -> None:
    guards = ["django_bolt.auth.IsAuthenticated", IsAuthenticated, IsAuthenticated()]
    assert find_problems({"GUARDS": guards}) == []


def test_an_unknown_key_names_the_nearest() -> None:
    [problem] = find_problems({"MAX_MESAGE_SIZE": 1})
    assert problem.unknown
    assert "'MAX_MESAGE_SIZE'" in problem.message
    assert problem.hint == "Did you mean 'MAX_MESSAGE_SIZE'?"


def test_a_key_in_lower_case_is_understood_as_such() -> None:
    assert find_problems({"api": None})[0].hint == "Did you mean 'API'?"


def test_a_key_near_to_none_gets_the_list() -> None:
    assert "DRAIN_TIMEOUT" in find_problems({"ZZZ": 1})[0].hint


def test_a_value_that_may_hold_a_secret_is_not_shown() -> None:
    assert "hush" not in find_problems({"AUTHENTICATION": {"key": "hush"}})[0].message
    assert "hush" not in find_problems({"API_KEYS": ["hush", ""]})[0].message
    with override_settings(BOLT={"API_KEYS": ["hush"]}):
        assert bolt_settings().api_keys == ("hush",)
        assert "hush" not in repr(bolt_settings())


@pytest.mark.parametrize("value", [["k"], ("k",), {"k": "owner"}, {"k": {"role": "x"}}, []])
def test_api_keys_are_a_list_or_a_dict(value: Any) -> None:
    assert find_problems({"API_KEYS": value}) == []


@pytest.mark.parametrize("value", ["k", None, [""], ["a b"], ["é"], [b"k"], {1: "owner"}])
def test_api_keys_must_be_visible_ascii(value: Any) -> None:
    [problem] = find_problems({"API_KEYS": value})
    assert "a list of keys" in problem.hint


@pytest.mark.parametrize("bolt", [None, [], "text"])
def test_bolt_must_be_a_dict(bolt: Any) -> None:
    assert "must be a dict" in find_problems(bolt)[0].message


def test_all_problems_are_raised_at_once() -> None:
    with (
        override_settings(BOLT={"MAX_HEAD_SIZE": 0, "NOPE": 1}),
        pytest.raises(ImproperlyConfigured) as caught,
    ):
        bolt_settings()
    assert "MAX_HEAD_SIZE" in str(caught.value)
    assert "NOPE" in str(caught.value)


@pytest.mark.parametrize("value", ["ignore", "Reply", None, True])
def test_the_answer_to_an_invalid_message_is_one_of_two(value: Any) -> None:
    [problem] = find_problems({"INVALID_MESSAGES": value})
    assert problem.hint == 'It must be "reply" or "close".'
    assert find_problems({"INVALID_MESSAGES": "reply"}) == find_problems({"INVALID_MESSAGES": "close"}) == []


SWITCHES = [
    "CLOSE_ON_EXPIRY",
    "CLOSE_ON_LOGOUT",
    "CLOSE_ON_PASSWORD_CHANGE",
    "CLOSE_ON_DEACTIVATION",
    "CLOSE_ON_PERMISSION_LOSS",
]


@pytest.mark.parametrize("key", SWITCHES)
def test_switches_are_on_or_off(key: str) -> None:
    assert getattr(BoltSettings(), key.lower()) is True
    assert find_problems({key: False}) == []
    for value in (None, 0, 1, "yes"):
        assert "True" in find_problems({key: value})[0].hint


def test_logging_out_may_close_all_of_a_users_connections() -> None:
    assert find_problems({"CLOSE_ON_LOGOUT": "user"}) == []
    assert find_problems({"CLOSE_ON_EXPIRY": "user"})
