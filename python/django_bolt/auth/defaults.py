"""Authentication and guards of the endpoints that name none, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from django_bolt.auth.backends import BaseAuthentication
from django_bolt.auth.guards import BaseGuard, make_guard
from django_bolt.conf import bolt_settings

__all__ = ["default_authentication", "default_guards", "make_authentication", "make_guards"]

T = TypeVar("T")


@lru_cache(maxsize=1)
def default_authentication() -> tuple[BaseAuthentication, ...]:
    """Return the authentication of the settings, made once and again after `override_settings`.

    Raises:
        ImproperlyConfigured: An entry cannot be imported, or is no authentication.
    """
    return _load(bolt_settings().authentication, _make_one)


@lru_cache(maxsize=1)
def default_guards() -> tuple[BaseGuard, ...]:
    """Return the guards of the settings, made once and again after `override_settings`.

    Raises:
        ImproperlyConfigured: An entry cannot be imported, or is no guard.
    """
    return _load(bolt_settings().guards, make_guard)


def make_authentication(entries: Iterable[Any]) -> tuple[BaseAuthentication, ...]:
    """Return authentications given as instances or as classes, the latter called without arguments.

    Raises:
        TypeError: An entry is neither, or they are in no list.
    """
    _require_list(entries, "Authentications", "[JWTAuthentication()]")
    return tuple(map(_make_one, entries))


def make_guards(entries: Iterable[Any]) -> tuple[BaseGuard, ...]:
    """Return guards given as instances or as classes, the latter called without arguments.

    Raises:
        TypeError: An entry is neither, or they are in no list.
    """
    _require_list(entries, "Guards", "[IsAuthenticated()]")
    return tuple(map(make_guard, entries))


def _require_list(entries: Any, what: str, example: str) -> None:
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        given = entries if isinstance(entries, type) else type(entries)
        raise TypeError(f"{what} are given in a list, as in {example}, not as a single {given.__name__}")


def _load(entries: Iterable[Any], make: Callable[[Any], T]) -> tuple[T, ...]:
    try:
        return tuple(make(import_string(entry) if isinstance(entry, str) else entry) for entry in entries)
    except (ImportError, TypeError) as error:
        raise ImproperlyConfigured(str(error)) from error


def _make_one(entry: Any) -> BaseAuthentication:
    made = entry() if isinstance(entry, type) else entry
    if not isinstance(made, BaseAuthentication):
        raise TypeError(f"{type(made).__name__} is no BaseAuthentication: give an instance or a class of it")
    return made


def _forget_defaults(*, setting: str, **kwargs: Any) -> None:
    if setting == "BOLT":
        default_authentication.cache_clear()
        default_guards.cache_clear()


setting_changed.connect(_forget_defaults, dispatch_uid="django_bolt.auth.defaults")
