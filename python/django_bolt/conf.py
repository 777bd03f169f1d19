"""Settings of django_bolt: the dict ``BOLT`` of Django's settings, typed and checked.

`BoltSettings` is the one list of names, defaults, units and ranges; the system checks and the tables of the
documentation are made from it.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_bolt.compression import WANTED, Compression, make_compression

__all__ = ["BoltSettings", "SettingProblem", "bolt_settings", "find_problems"]

_MAX_SIZE = 2**40  # One TiB: more is a slip of the hand, and what fits in a size on every machine.
_MAX_SECONDS = 366 * 24 * 3600


class _Rule(NamedTuple):
    """What a value must be, in words, and the test for it."""

    wanted: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_SIZE


def _is_positive_time(value: Any) -> bool:
    return _is_number(value) and 0 < value <= _MAX_SECONDS


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_api(value: Any) -> bool:
    return value is None or _is_dotted(value) or (_is_sequence(value) and all(map(_is_dotted, value)))


def _is_dotted(value: Any) -> bool:
    return isinstance(value, str) and all(part.isidentifier() for part in value.replace(":", ".").split("."))


def _is_origin(value: Any) -> bool:
    return isinstance(value, str) and (value in ("*", "null") or "://" in value)


def _is_backend(value: Any) -> bool:
    return _is_dotted(value) if isinstance(value, str) else value is not None


def _is_api_key(value: Any) -> bool:
    return isinstance(value, str) and value != "" and all("!" <= character <= "~" for character in value)


def _is_network(value: Any) -> bool:
    if value == "unix":
        return True
    try:
        ipaddress.ip_network(value)
    except (ValueError, TypeError):
        return False
    return isinstance(value, str)


def _is_compression(value: Any) -> bool:
    try:
        make_compression(value)
    except ValueError:
        return False
    return True


_COMPRESSION = _Rule(f"{WANTED}: {', '.join(entry.name for entry in fields(Compression))}", _is_compression)
_API = _Rule("None, a dotted path, or a list of dotted paths", _is_api)
_ORIGINS = _Rule(
    'a list of origins such as "https://example.com" or "https://*.example.com", or "*" for any',
    lambda value: _is_sequence(value) and all(map(_is_origin, value)),
)
_BACKENDS = _Rule(
    "a list of dotted paths, classes or instances",
    lambda value: _is_sequence(value) and all(map(_is_backend, value)),
)
_API_KEYS = _Rule(
    "a list of keys, or a dict of keys and whom each belongs to",
    lambda value: isinstance(value, Mapping | list | tuple) and all(map(_is_api_key, value)),
)
_SWITCH = _Rule("True or False", lambda value: isinstance(value, bool))
_LOGOUT = _Rule(
    'True for the connections of that session, "user" for all of the user\'s, or False',
    lambda value: isinstance(value, bool) or value == "user",
)
_SIZE = _Rule("a whole number of bytes of at least 1", _is_count)
_COUNT = _Rule("a whole number of at least 1", _is_count)
_COUNT_OR_OFF = _Rule(
    "a whole number of at least 1, or None for no limit", lambda value: value is None or _is_count(value)
)
_RATE_OR_OFF = _Rule(
    "a number above 0, or None for no limit", lambda value: value is None or (_is_number(value) and value > 0)
)
_RATE_ACTION = _Rule('"close" or "wait"', lambda value: value in ("close", "wait"))
_MESSAGE_ACTION = _Rule('"reply" or "close"', lambda value: value in ("reply", "close"))
_NETWORKS = _Rule(
    'a list of addresses such as "10.0.0.1", networks such as "10.0.0.0/8", and "unix" for Unix sockets',
    lambda value: _is_sequence(value) and all(map(_is_network, value)),
)
_BROKER = _Rule(
    'a URL such as "local://", "memory://" or "redis://host:6379/0"',
    lambda value: isinstance(value, str) and "://" in value,
)
_OUTAGE = _Rule('"raise" or "queue"', lambda value: value in ("raise", "queue"))
_TIME = _Rule("a number of seconds above 0", _is_positive_time)
_TIME_OR_ZERO = _Rule(
    "a number of seconds of at least 0", lambda value: value == 0 or _is_positive_time(value)
)
_TIME_OR_OFF = _Rule(
    "a number of seconds above 0, or None to switch it off",
    lambda value: value is None or _is_positive_time(value),
)


def _setting(default: Any, unit: str, rule: _Rule, description: str, *, is_secret: bool = False) -> Any:
    metadata = {"default": default, "unit": unit, "rule": rule, "description": description}
    metadata["is_secret"] = is_secret
    made = make_compression(default) if rule is _COMPRESSION else _immutable(default)
    return field(default=made, metadata=metadata, repr=not is_secret)


def _limit(default: Any, unit: str, rule: _Rule, description: str, scope: str, answer: str) -> Any:
    metadata = {"default": default, "unit": unit, "rule": rule, "description": description}
    return field(default=_immutable(default), metadata=metadata | {"scope": scope, "answer": answer})


def _immutable(default: Any) -> Any:
    return tuple(default) if isinstance(default, list) else default


@dataclass(frozen=True, slots=True, kw_only=True)
class BoltSettings:
    """The settings; each field is the key of the same name in upper case.

    The metadata of a field holds ``default`` (as one writes it in settings), ``unit`` (empty, or such as ``bytes``)
    and ``description``; that of a limit also ``scope``, what it is for, and ``answer``, what happens beyond it.
    """

    api: tuple[str, ...] | None = _setting(
        None,
        "",
        _API,
        "Modules or objects to serve; None finds `api` in the project package and in each app.",
    )
    allowed_origins: tuple[str, ...] = _setting(
        [], "", _ORIGINS, "Origins let in besides the request's own host and CSRF_TRUSTED_ORIGINS."
    )
    trusted_proxies: tuple[str, ...] = _setting(
        [], "", _NETWORKS, "Proxies whose `Forwarded` and `X-Forwarded-*` header fields are believed."
    )
    authentication: tuple[Any, ...] = _setting(
        [], "", _BACKENDS, "Authentication of the endpoints that name none.", is_secret=True
    )
    guards: tuple[Any, ...] = _setting(
        [], "", _BACKENDS, "Guards of the endpoints that name none.", is_secret=True
    )
    api_keys: Any = _setting(
        [],
        "",
        _API_KEYS,
        "Keys that `APIKeyAuthentication` takes where it is given none: a list, or a dict to their owners.",
        is_secret=True,
    )
    close_on_expiry: bool = _setting(
        True, "", _SWITCH, "Close a connection with 4401 when its token or its session expires."
    )
    close_on_logout: bool | str = _setting(
        True,
        "",
        _LOGOUT,
        'Close with 4401 when the user logs out: the connections of that session; "user" for all of the user\'s.',
    )
    close_on_password_change: bool = _setting(
        True, "", _SWITCH, "Close a user's connections with 4401 when its password changes."
    )
    close_on_deactivation: bool = _setting(
        True, "", _SWITCH, "Close a user's connections with 4401 when it is deactivated or deleted."
    )
    close_on_permission_loss: bool = _setting(
        True,
        "",
        _SWITCH,
        "Close a connection with 4403 when a guard that asks for permissions would not let it in any more.",
    )
    invalid_messages: str = _setting(
        "reply",
        "",
        _MESSAGE_ACTION,
        'For a message that a class endpoint cannot use: "reply" answers with an error, "close" closes with 1007.',
    )
    max_message_size: int = _limit(
        1_048_576,
        "bytes",
        _SIZE,
        "Largest message: in one frame, in fragments, or decompressed.",
        "a message",
        "Close 1009, as soon as a frame's header or the decompressed size exceeds it; nothing more is stored.",
    )
    max_frame_size: int = _limit(
        1_048_576,
        "bytes",
        _SIZE,
        "Largest payload of a frame.",
        "a frame",
        "Close 1009 at the frame's header.",
    )
    max_fragments: int = _limit(
        131_072, "", _COUNT, "Most fragments of one message.", "a message", "Close 1009."
    )
    max_head_size: int = _limit(
        16_384,
        "bytes",
        _SIZE,
        "Largest head of a request, and most of what is around the chunks of its body, trailers included.",
        "a request",
        "HTTP 431.",
    )
    max_connections: int = _limit(
        10_000,
        "",
        _COUNT,
        "Most WebSockets; as many connections for pages; as many that have sent no whole request head; and over TLS "
        "as many in the handshake or with last bytes to take.",
        "a process",
        "HTTP 503 with `Retry-After`; before a request has come, connections wait to be accepted.",
    )
    max_connections_per_ip: int | None = _limit(
        None,
        "",
        _COUNT_OR_OFF,
        "Most WebSockets of one client: of an IPv4 address, or of the /64 network of an IPv6 address.",
        "a process",
        "HTTP 429 with `Retry-After`.",
    )
    max_connections_per_user: int | None = _limit(
        None,
        "",
        _COUNT_OR_OFF,
        "Most WebSockets of one user, as authentication names them.",
        "a process",
        "HTTP 429 with `Retry-After`.",
    )
    message_rate: float | None = _limit(
        None,
        "a second",
        _RATE_OR_OFF,
        "Messages and control frames, in bursts of at most one second's.",
        "a connection",
        "As `RATE_LIMIT_ACTION` says.",
    )
    byte_rate: float | None = _limit(
        None,
        "bytes a second",
        _RATE_OR_OFF,
        "Bytes received, in bursts of at most one second's.",
        "a connection",
        "As `RATE_LIMIT_ACTION` says.",
    )
    rate_limit_action: str = _setting(
        "close",
        "",
        _RATE_ACTION,
        'For a connection over its rate: "close" closes it with 1008, "wait" reads it more slowly.',
    )
    inbound_limit: int = _limit(
        1_048_576,
        "bytes",
        _SIZE,
        "Received, and not yet taken by the handler.",
        "a connection",
        "Nothing is dropped: reading pauses, so that TCP slows the client down.",
    )
    outbound_limit: int = _limit(
        4_194_304,
        "bytes",
        _SIZE,
        "Queued, and not yet taken by the client.",
        "a connection",
        "Sends of its own handler wait long before; when others send to it, Close 1013.",
    )
    handshake_timeout: float = _limit(
        10,
        "seconds",
        _TIME,
        "Time for the head of a request to arrive, and for some of its body; before that for the TLS handshake.",
        "a request",
        "HTTP 408; in the TLS handshake, the end of TCP.",
    )
    ping_interval: float | None = _limit(
        20, "seconds", _TIME_OR_OFF, "Silence of the client.", "a connection", "A Ping frame."
    )
    ping_timeout: float | None = _limit(
        20,
        "seconds",
        _TIME_OR_OFF,
        "Silence of the client after a ping.",
        "a connection",
        "Close 1011.",
    )
    close_timeout: float = _limit(
        5,
        "seconds",
        _TIME,
        "Time for the client's Close frame after ours.",
        "a connection",
        "The end of TCP.",
    )
    disconnect_grace: float = _limit(
        10,
        "seconds",
        _TIME,
        "Time that a handler may outlive its client.",
        "a handler",
        "It is cancelled.",
    )
    drain_timeout: float = _limit(
        10,
        "seconds",
        _TIME_OR_ZERO,
        "Time for handlers and requests to end when the server stops.",
        "a process",
        "They are cancelled.",
    )
    drain_spread: float = _setting(
        2,
        "seconds",
        _TIME_OR_ZERO,
        "Over which many connections are closed when the server stops, so that not all come back at once.",
    )
    broker: str = _setting(
        "local://",
        "",
        _BROKER,
        "What carries publications between processes: the URL of a broker.",
        is_secret=True,
    )
    broker_outage: str = _setting(
        "raise",
        "",
        _OUTAGE,
        'What publishing does while the broker\'s server is away: "raise" `BrokerUnavailable`, or "queue".',
    )
    broker_queue_limit: int = _limit(
        16_777_216,
        "bytes",
        _SIZE,
        "Publications that wait to be taken by the broker's server, or by another process on this machine.",
        "a process",
        "`BrokerUnavailable`; with `local://`, the slow process misses publications, counted and logged.",
    )
    broker_timeout: float = _limit(
        2,
        "seconds",
        _TIME,
        "Longest wait of a publisher for the broker, and for a connection to its server.",
        "a publication",
        "`BrokerUnavailable`, as above.",
    )
    max_publication_size: int = _limit(
        1_048_576,
        "bytes",
        _SIZE,
        "Largest data of a publication.",
        "a publication",
        "`PublicationTooLarge`.",
    )
    max_subscriptions: int | None = _limit(
        1_000,
        "",
        _COUNT_OR_OFF,
        "Most topics and patterns that it is subscribed to.",
        "a connection",
        "`TooManySubscriptions` in the handler; Close 1008 if it does not catch it.",
    )
    max_threads: int = _limit(
        20,
        "",
        _COUNT,
        "Most threads for ORM calls and other blocking code of coroutines.",
        "a process",
        "Further calls wait for a thread.",
    )
    max_sync_handlers: int = _limit(
        40,
        "",
        _COUNT,
        "Most connections whose handler is a plain `def`: each holds a thread.",
        "a process",
        "HTTP 503 with `Retry-After`.",
    )
    compression: Compression | None = _setting(
        True,
        "",
        _COMPRESSION,
        "permessage-deflate (RFC 7692) for clients that offer it; False for none, a dict to set its options.",
    )


class SettingProblem(NamedTuple):
    """What is wrong with one key of ``BOLT``."""

    key: str
    message: str
    hint: str
    unknown: bool = False


_FIELDS: dict[str, Field[Any]] = {entry.name.upper(): entry for entry in fields(BoltSettings)}


def find_problems(bolt: Any) -> list[SettingProblem]:
    """Return what is wrong with a value of ``settings.BOLT``, in the order of its keys."""
    if not isinstance(bolt, Mapping):
        return [SettingProblem("BOLT", f"BOLT must be a dict, not {bolt!r}.", "Write BOLT = {...}.")]
    found = (_find_problem(key, value) for key, value in bolt.items())
    return [problem for problem in found if problem]


def _find_problem(key: Any, value: Any) -> SettingProblem | None:
    entry = _FIELDS.get(key)
    if entry is None:
        return SettingProblem(str(key), f"BOLT has an unknown key {key!r}.", _nearest(str(key)), unknown=True)
    rule: _Rule = entry.metadata["rule"]
    if rule.accepts(value):
        return None
    # A value that may hold keys or passwords must not reach a terminal or a log.
    shown = type(value).__name__ if entry.metadata.get("is_secret") else repr(value)
    return SettingProblem(key, f"BOLT[{key!r}] is {shown}.", f"It must be {rule.wanted}.")


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key.upper(), _FIELDS, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"The keys are: {', '.join(_FIELDS)}."


@lru_cache(maxsize=1)
def bolt_settings() -> BoltSettings:
    """Return the settings, read once and again after `override_settings`.

    Raises:
        ImproperlyConfigured: ``BOLT`` has unknown keys or bad values; the text lists all of them.
    """
    bolt = getattr(django_settings, "BOLT", {})
    problems = find_problems(bolt)
    if problems:
        raise ImproperlyConfigured(" ".join(f"{problem.message} {problem.hint}" for problem in problems))
    return BoltSettings(**{_FIELDS[key].name: _normalise(_FIELDS[key], value) for key, value in bolt.items()})


def _normalise(entry: Field[Any], value: Any) -> Any:
    if entry.name == "api" and isinstance(value, str):
        return (value,)
    if entry.name == "compression":
        return make_compression(value)
    return tuple(value) if isinstance(value, list) else value


def _forget_settings(*, setting: str, **kwargs: Any) -> None:
    if setting == "BOLT":
        bolt_settings.cache_clear()


setting_changed.connect(_forget_settings, dispatch_uid="django_bolt.conf")
