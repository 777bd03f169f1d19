"""The URL of a Redis or Valkey server, of Sentinel, or of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import parse_qsl, unquote

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

__all__ = ["Address", "RedisURL", "parse_url"]

OPTIONS = (
    "prefix",
    "sharded",
    "sentinel_username",
    "sentinel_password",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)

Address = tuple[str, int]
"""Host and port."""

_FORMS = {
    "": "redis://[user:password@]host[:port][/database]",
    "sentinel": "redis+sentinel://[user:password@]host[:port],host[:port]/service[/database]",
    "cluster": "redis+cluster://[user:password@]host[:port],host[:port]",
}
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\[\]:]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class RedisURL:
    """What a URL says.

    Attributes:
        kind: ``""`` for one server, ``"sentinel"`` or ``"cluster"``.
        hosts: The server; the sentinels; or nodes of the cluster, any of which knows the others.
        service: Name by which the sentinels know the server.
        prefix: Begins the name of each channel, so that several projects can share a server.
        sharded: Whether a cluster carries a topic in one shard, not in every node.
        connection: Arguments of redis-py for the connection to a server.
        sentinel: Those for the connection to a sentinel.
    """

    kind: str
    hosts: tuple[Address, ...]
    prefix: str
    service: str = ""
    sharded: bool = False
    # Not in the text of the object: it holds passwords.
    connection: dict[str, object] = field(default_factory=dict, repr=False)
    sentinel: dict[str, object] = field(default_factory=dict, repr=False)

    @property
    def has_tls(self) -> bool:
        """Whether connections use TLS."""
        return "ssl_cert_reqs" in self.connection

    def __str__(self) -> str:
        scheme = f"redis{'s' if self.has_tls else ''}{'+' if self.kind else ''}{self.kind}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{scheme}://{hosts}{'/' if self.service else ''}{self.service}"


def parse_url(url: str) -> RedisURL:
    """Read a URL.

    Raises:
        ImproperlyConfigured: It has a mistake; the text shows no credentials.
    """
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    if "@" in query:
        raise ImproperlyConfigured(
            "The URL in BOLT['BROKER'] has an @ after a question mark; in a password, write ? as %3F and @ as %40."
        )
    family, _, kind = scheme.lower().partition("+")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    options = _parse_options(query, kind)
    service, database = _parse_path(path, kind)
    tls = _parse_tls(options, family)
    return RedisURL(
        kind=kind,
        hosts=tuple(_parse_host(host, kind) for host in hosts.split(",")),
        service=service,
        prefix=f"{options.get('prefix') or _project_name()}/{database}:",
        sharded=kind == "cluster" and _is_on(options.get("sharded", "yes"), "sharded"),
        connection=_parse_credentials(credentials) | {"db": database} | tls,
        sentinel={name[9:]: value for name, value in options.items() if name.startswith("sentinel_")} | tls,
    )


def _parse_options(query: str, kind: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in OPTIONS:
            raise ImproperlyConfigured(
                f"The URL in BOLT['BROKER'] has an unknown option {name!r}; the options are {', '.join(OPTIONS)}."
            )
        needed = name.partition("_")[0].replace("sharded", "cluster")
        if needed in _FORMS and needed != kind:
            raise ImproperlyConfigured(
                f"The option {name!r} in BOLT['BROKER'] is for redis+{needed}:// only."
            )
    return options


def _parse_tls(options: dict[str, str], family: str) -> dict[str, object]:
    given = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if family not in ("rediss", "valkeys"):
        if given:
            raise ImproperlyConfigured(
                f"The option {min(given)!r} in BOLT['BROKER'] is for {family}s:// only."
            )
        return {}
    checks = _is_on(given.pop("ssl_check_hostname", "yes"), "ssl_check_hostname")
    return {
        "ssl_cert_reqs": "required",
        **given,
        "ssl_check_hostname": checks and given.get("ssl_cert_reqs") != "none",
    }


def _parse_path(path: str, kind: str) -> tuple[str, int]:
    """Return the service and the number of the database."""
    service, _, database = path.rpartition("/") if kind == "sentinel" and "/" in path else ("", "", path)
    if kind == "sentinel" and not service:
        service, database = path, ""
    if (kind == "sentinel") != bool(service) or not re.fullmatch(r"\d*", database):
        _refuse(kind)
    if kind == "cluster" and int(database or 0):
        raise ImproperlyConfigured("BOLT['BROKER'] names a database, but a cluster has only one.")
    return unquote(service), int(database or 0)


def _parse_host(text: str, kind: str) -> Address:
    match = _HOST.fullmatch(text)
    if match is None:
        _refuse(kind)
    return match[1].strip("[]"), int(match[2] or (26379 if kind == "sentinel" else 6379))


def _parse_credentials(text: str) -> dict[str, object]:
    username, _, password = map(unquote, text.partition(":"))
    return {name: value for name, value in (("username", username), ("password", password)) if value}


def _is_on(value: str, name: str) -> bool:
    if value not in ("yes", "no"):
        raise ImproperlyConfigured(
            f"The option {name!r} in BOLT['BROKER'] is {value!r}; it must be yes or no."
        )
    return value == "yes"


def _project_name() -> str:
    module = str(
        getattr(django_settings, "SETTINGS_MODULE", None) or getattr(django_settings, "ROOT_URLCONF", "")
    )
    return module.partition(".")[0] or "django"


def _refuse(kind: str) -> NoReturn:
    raise ImproperlyConfigured(f"The URL in BOLT['BROKER'] is not of the form {_FORMS[kind]}.")
