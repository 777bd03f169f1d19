"""System checks: what is wrong is said at start, not at the first connection.

========================  =========================================================
``django_bolt.E001``      ``BOLT`` has an unknown key
``django_bolt.E002``      a value of ``BOLT`` is bad
``django_bolt.E003``      a default authentication or guard cannot be used
``django_bolt.E004``      a module with endpoints cannot be imported
``django_bolt.E005``      two endpoints have one path
``django_bolt.E006``      an authentication or guard lacks an app that it needs
``django_bolt.E007``      ``BROKER`` names no broker, or one that cannot be made
``django_bolt.E008``      the broker cannot be reached (``check --deploy``)
``django_bolt.W001``      ``BROKER`` reaches one process only (``check --deploy``)
========================  =========================================================
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.defaults import default_authentication, default_guards
from django_bolt.auth.guards import BaseGuard
from django_bolt.conf import SettingProblem, bolt_settings, find_problems
from django_bolt.endpoints.autodiscovery import discover
from django_bolt.endpoints.endpoint import Endpoint
from django_bolt.endpoints.routing import Router
from django_bolt.exceptions import BrokerUnavailable, EndpointCollision
from django_bolt.topics.brokers import Broker, make_broker
from django_bolt.topics.brokers.memory import MemoryBroker

ONE_PROCESS = "BOLT['BROKER'] is memory://: what one process publishes does not reach the clients of another."

_DEFAULTS: tuple[tuple[str, Callable[[], Iterable[BaseAuthentication | BaseGuard]]], ...] = (
    ("AUTHENTICATION", default_authentication),
    ("GUARDS", default_guards),
)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of ``BOLT``."""
    return [_as_error(problem) for problem in _problems()]


def check_defaults(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the default authentication and guards can be made."""
    if _problems():
        return []
    errors: list[CheckMessage] = []
    for key, load in _DEFAULTS:
        try:
            found = [problem for entry in load() for problem in entry.find_problems()]
        except Exception as error:
            errors.append(Error(f"BOLT[{key!r}] cannot be used: {error}", id="django_bolt.E003"))
        else:
            errors += (Error(f"BOLT[{key!r}]: {problem}", id="django_bolt.E006") for problem in found)
    return errors


def check_endpoints(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that endpoints can be imported, have paths of their own, and can authenticate as they say."""
    if _problems():
        return []
    try:
        endpoints = [endpoint for api in discover() for endpoint in api.endpoints]
        Router.of(endpoints)
    except EndpointCollision as error:
        return [Error(str(error), hint="Change one of the paths.", id="django_bolt.E005")]
    except Exception as error:
        return [Error(f"Endpoints cannot be imported: {_describe(error)}", id="django_bolt.E004")]
    return _check_requirements(endpoints)


def _check_requirements(endpoints: Iterable[Endpoint]) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    for endpoint in endpoints:
        entries: list[BaseAuthentication | BaseGuard] = [*(endpoint.auth or ()), *(endpoint.guards or ())]
        problems = [problem for entry in entries for problem in entry.find_problems()]
        errors += (Error(f"{endpoint.location}: {problem}", id="django_bolt.E006") for problem in problems)
    return errors


def check_broker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the broker can be made; nothing is connected."""
    if _problems():
        return []
    try:
        _make_broker()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="django_bolt.E007")]
    return []


def check_broker_is_there(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the broker can be reached and is fit for several processes; for ``check --deploy``."""
    if check_broker(app_configs):
        return []
    broker = _make_broker()
    if isinstance(broker, MemoryBroker):
        hint = 'Use "local://" for several workers, or "redis://..." for several machines.'
        return [CheckWarning(ONE_PROCESS, hint=hint, id="django_bolt.W001")]
    try:
        broker.check()
    except BrokerUnavailable as error:
        return [Error(str(error), hint="See BOLT['BROKER'].", id="django_bolt.E008")]
    return []


def _make_broker() -> Broker:
    return make_broker(bolt_settings().broker, bolt_settings())


def _problems() -> list[SettingProblem]:
    return find_problems(getattr(settings, "BOLT", {}))


def _as_error(problem: SettingProblem) -> Error:
    number = 1 if problem.unknown else 2
    return Error(problem.message, hint=problem.hint, id=f"django_bolt.E00{number}")


def _describe(error: Exception) -> str:
    """Name the exception and the line that raised it, as a reader of a traceback would."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
