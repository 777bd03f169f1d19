from __future__ import annotations

import pickle

import pytest

from django_bolt import exceptions
from django_bolt.exceptions import (
    AuthenticationFailed,
    BoltError,
    EndpointCollision,
    EnvironmentFailure,
    HTTPException,
    InvalidHandler,
    InvalidMessage,
    InvalidParameters,
    InvalidPath,
    PeerError,
    UnsupportedData,
    UsageError,
    WebSocketDisconnect,
    WebSocketException,
    WrongState,
)

EXAMPLES = [
    (WebSocketDisconnect(1001, "bye"), 1001, "Connection closed with 1001: bye"),
    (WebSocketDisconnect(1006, ""), 1006, "Connection closed with 1006"),
    (UnsupportedData("text", "binary"), 1003, "Expected a text message, got a binary message"),
    (InvalidMessage("Expected `int`", "$.x"), 1007, "Expected `int` (at $.x)"),
    (
        InvalidMessage.of([{"path": "$.a", "reason": "odd"}, {"path": "$[1]", "reason": "even"}], "$.list"),
        1007,
        "odd (at $.list.a)",
    ),
    (
        InvalidParameters([{"parameter": "page", "in": "query", "message": "Missing"}]),
        1008,
        "Invalid parameters: page",
    ),
    (
        WrongState("accept()", "CONNECTING", "CONNECTED"),
        1011,
        "accept() needs a connection in state CONNECTING; this one is CONNECTED",
    ),
    (
        EndpointCollision("/a", "m.f (m.py:1)", "m.g (m.py:9)"),
        1011,
        "Two endpoints on one path '/a': m.f (m.py:1) and m.g (m.py:9)",
    ),
    (WebSocketException(4001, "no"), 4001, "Close 4001: no"),
    (HTTPException(404), 1011, "HTTP 404: Not Found"),
    (AuthenticationFailed("Bad key."), 4401, "HTTP 401: Bad key."),
]


@pytest.mark.parametrize(("error", "close_code", "text"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_each_carries_its_close_code_and_says_what_happened(
    error: BoltError, close_code: int, text: str
) -> None:
    assert error.close_code == close_code
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _, _ in EXAMPLES], ids=lambda error: type(error).__name__)
def test_each_can_be_pickled(error: BoltError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)


def test_all_are_bolt_errors_and_the_families_are_apart() -> None:
    found = [value for name in exceptions.__all__ if isinstance(value := getattr(exceptions, name), type)]
    errors = [value for value in found if issubclass(value, BaseException)]
    families = (PeerError, UsageError, EnvironmentFailure)
    assert all(issubclass(error, BoltError) for error in errors)
    assert all(sum(issubclass(error, family) for family in families) <= 1 for error in errors)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (WrongState, RuntimeError),
        (InvalidPath, ValueError),
        (InvalidHandler, TypeError),
        (EndpointCollision, ValueError),
    ],
)
def test_a_mistake_of_the_caller_is_also_the_builtin_one(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, UsageError)
    assert issubclass(error, builtin)


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (4001, "x" * 124)])
def test_websocket_exception_refuses_what_no_close_frame_can_carry(code: int, reason: str) -> None:
    with pytest.raises(ValueError, match="Close"):
        WebSocketException(code, reason)


@pytest.mark.parametrize("status", [100, 101, 199, 600])
def test_http_exception_refuses_a_status_that_ends_no_handshake(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        HTTPException(status)


def test_http_exception_keeps_detail_and_headers() -> None:
    error = HTTPException(429, {"retry": 5}, {"Retry-After": "5"})
    assert (error.status_code, error.detail, error.headers) == (429, {"retry": 5}, {"Retry-After": "5"})


def test_http_exception_with_an_unregistered_status_has_an_empty_detail() -> None:
    assert HTTPException(599).detail == ""


def test_an_invalid_message_lists_its_errors() -> None:
    assert InvalidMessage("odd", "$.a").errors == [{"path": "$.a", "reason": "odd"}]
    several = InvalidMessage.of(
        [{"path": "$.a", "reason": "odd"}, {"path": "$[1]", "reason": "even"}], "$.list"
    )
    assert [error["path"] for error in several.errors] == ["$.list.a", "$.list[1]"]
    assert (several.path, several.reason) == ("$.list.a", "odd")
