"""Exceptions of django_bolt: one tree under `BoltError`.

Three families say whose fault it is: `PeerError` (the client left or broke a rule), `UsageError` (the calling
code broke a rule; also the built-in exception one would catch) and `EnvironmentFailure` (what surrounds the
process failed). Beside them stand the exceptions that a handler raises to answer: `WebSocketException` and
`HTTPException`.
"""

# Names are those of the specification and of the frameworks that its users know.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

from django_bolt.close_codes import AUTHENTICATION_ENDED, CloseCode, check_close

__all__ = [
    "AuthenticationFailed",
    "BoltError",
    "BrokerUnavailable",
    "EndpointCollision",
    "EnvironmentFailure",
    "HTTPException",
    "InvalidHandler",
    "InvalidMessage",
    "InvalidParameters",
    "InvalidPath",
    "InvalidPublication",
    "InvalidTopic",
    "MessageError",
    "ParameterError",
    "PeerError",
    "PublicationTooLarge",
    "UnsupportedData",
    "UsageError",
    "WebSocketDisconnect",
    "WebSocketException",
    "WrongState",
    "WrongThread",
]


class BoltError(Exception):
    """Base of every exception that django_bolt raises.

    Attributes:
        close_code: Code of the Close frame that answers this exception when a handler lets it pass.
    """

    close_code: int = CloseCode.INTERNAL_ERROR


class PeerError(BoltError):
    """The peer left, or broke a rule."""


class UsageError(BoltError):
    """The calling code broke a rule."""


class EnvironmentFailure(BoltError):
    """What surrounds the process failed: a socket, a file, another service."""


class WebSocketDisconnect(PeerError):
    """The connection has ended.

    Whatever the handler awaits raises it: `receive_*`, the `iter_*` loops and its own sends. A handler that
    lets it pass ends normally.

    Args:
        code: Close code of the connection; 1005 if the Close frame had none, 1006 if there was no Close
        frame. reason: Close reason.
    """

    def __init__(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.close_code = code

    def __str__(self) -> str:
        return _with_reason(f"Connection closed with {int(self.code)}", self.reason)


class UnsupportedData(PeerError):
    """A message is of the other kind than the handler asked for.

    The message is consumed; a handler that catches this may go on.

    Args:
        expected: ``"text"`` or ``"binary"``.
        got: The other one.
    """

    close_code = CloseCode.UNSUPPORTED_DATA

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"Expected a {self.expected} message, got a {self.got} message"


class MessageError(TypedDict):
    """A fault in a message: where it is, as in ``$.items[0].price``, and what is wrong."""

    path: str
    reason: str


class InvalidMessage(PeerError):
    """A message is not the JSON, or not of the type, that the handler asked for.

    The message is consumed; a handler that catches this may answer it and go on.

    Args:
        reason: What is wrong.
        path: Where in the message, as in ``$.items[0].price``; ``$`` is the whole message.
        errors: All that is wrong, where more than this one is known: Pydantic finds all, msgspec stops at the first.
    """

    close_code = CloseCode.INVALID_FRAME_PAYLOAD_DATA

    def __init__(self, reason: str, path: str = "$", errors: Sequence[MessageError] = ()) -> None:
        super().__init__(reason, path, errors)
        self.reason = reason
        self.path = path
        self.errors: list[MessageError] = list(errors) or [{"path": path, "reason": reason}]

    @classmethod
    def of(cls, errors: Sequence[MessageError], within: str = "$") -> InvalidMessage:
        """Make one of several errors, whose paths begin at a place within the message."""
        placed: list[MessageError] = [
            {"path": within + error["path"][1:], "reason": error["reason"]} for error in errors
        ]
        return cls(placed[0]["reason"], placed[0]["path"], placed)

    def __str__(self) -> str:
        return f"{self.reason} (at {self.path})"


ParameterError = TypedDict("ParameterError", {"parameter": str, "in": str, "message": str})
"""A parameter that is missing or does not convert: its name in the request; ``"path"``, ``"query"``, ``"header"`` or
``"cookie"``; and what is wrong."""


class InvalidParameters(PeerError):
    """Parameters of the opening handshake are missing or do not convert; answered with HTTP 422.

    Args:
        errors: One entry for each parameter.
    """

    close_code = CloseCode.POLICY_VIOLATION

    def __init__(self, errors: Sequence[ParameterError]) -> None:
        super().__init__(errors)
        self.errors = list(errors)

    def __str__(self) -> str:
        return "Invalid parameters: " + ", ".join(error["parameter"] for error in self.errors)


class WrongState(UsageError, RuntimeError):
    """A method was called in a state of the connection that does not allow it.

    Args:
        operation: What was called.
        expected: Name of the state that it needs.
        got: Name of the state that the connection is in.
    """

    def __init__(self, operation: str, expected: str, got: str) -> None:
        super().__init__(operation, expected, got)
        self.operation = operation
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"{self.operation} needs a connection in state {self.expected}; this one is {self.got}"


class WrongThread(UsageError, RuntimeError):
    """A method was called on the thread of the event loop, which it would block."""


class InvalidPath(UsageError, ValueError):
    """The path of an endpoint cannot be served."""


class InvalidHandler(UsageError, TypeError):
    """A function cannot be the handler of an endpoint."""


class InvalidTopic(UsageError, ValueError):
    """A name cannot be that of a topic, or of a pattern of topics.

    Args:
        name: The name.
        reason: What is wrong with it.
    """

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        shown = self.name if not isinstance(self.name, str) or len(self.name) <= 50 else self.name[:50] + "…"
        return f"Invalid topic {shown!r}: {self.reason}"


class TooManySubscriptions(UsageError, RuntimeError):
    """A connection would be subscribed to more topics than ``MAX_SUBSCRIPTIONS``; it has those of before.

    Args:
        limit: The most topics and patterns allowed.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"A connection may be subscribed to {self.limit:,} topics and patterns, as MAX_SUBSCRIPTIONS says"
        )


class PublicationTooLarge(UsageError, ValueError):
    """The data of a publication exceed ``MAX_PUBLICATION_SIZE``.

    Args:
        topic: Where it was published.
        size: Its size in bytes.
        limit: The most bytes allowed.
    """

    def __init__(self, topic: str, size: int, limit: int) -> None:
        super().__init__(topic, size, limit)
        self.topic = topic
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"A publication on {self.topic!r} has {self.size:,} bytes; "
            f"MAX_PUBLICATION_SIZE allows {self.limit:,}"
        )


class InvalidPublication(EnvironmentFailure, ValueError):
    """What came from another process is not a publication."""


class BrokerUnavailable(EnvironmentFailure):
    """The broker cannot be reached, or took nothing in time; other processes did not get the publication.

    Subscribers in this process did.

    Args:
        address: The broker's address, without credentials.
        reason: What failed.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"The broker {self.address} is unavailable: {self.reason}"


class EndpointCollision(UsageError, ValueError):
    """Two endpoints have one path.

    Args:
        path: The path of the second.
        first: Where the endpoint is that was registered first, as ``module.function (file:line)``.
        second: Where the other one is.
    """

    def __init__(self, path: str, first: str, second: str) -> None:
        super().__init__(path, first, second)
        self.path = path
        self.first = first
        self.second = second

    def __str__(self) -> str:
        return f"Two endpoints on one path {self.path!r}: {self.first} and {self.second}"


class WebSocketException(BoltError):
    """Raised by a handler to close the connection with a code and a reason.

    Args:
        code: Close code; 4000 to 4999 are free for the application.
        reason: Close reason, sent to the peer.

    Raises:
        ValueError: The code may not be sent, or the reason exceeds 123 bytes of UTF-8.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        check_close(code, reason)
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.close_code = code

    def __str__(self) -> str:
        return _with_reason(f"Close {int(self.code)}", self.reason)


class HTTPException(BoltError):
    """Raised before `accept` to answer the opening handshake with an HTTP response.

    Raised later, it is an error of the handler: logged, and answered with Close 1011.

    Args:
        status_code: HTTP status, 200 to 599.
        detail: What the JSON body carries as ``detail``; by default the phrase of the status.
        headers: Header fields of the response.

    Raises:
        ValueError: The status is out of range.
    """

    def __init__(
        self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        if not 200 <= status_code <= 599:
            raise ValueError(f"Status {status_code} cannot end an opening handshake: use 200 to 599")
        super().__init__(status_code, detail, headers)
        self.status_code = status_code
        self.detail = _phrase(status_code) if detail is None else detail
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"HTTP {self.status_code}: {self.detail}"


class AuthenticationFailed(HTTPException):
    """Credentials are wrong; answered with HTTP 401, or with Close 4401 once the connection is accepted.

    Args:
        detail: Text for the peer. It must not contain the credentials.
    """

    close_code = AUTHENTICATION_ENDED

    def __init__(self, detail: str = "Authentication failed.") -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, detail)
        self.args = (detail,)  # What a copy or a pickle is made from.


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
