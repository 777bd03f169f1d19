"""Find the endpoints of a project: ``BOLT["API"]``, else ``api`` in the project package and in each app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import module_has_submodule

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.api import BoltAPI

__all__ = ["discover"]

_MODULE = "api"


def discover() -> list[BoltAPI]:
    """Return the APIs of the project, each once.

    An ``api`` module without a `BoltAPI` belongs to something else and is passed over. An exception inside
    one is not caught.

    Raises:
        ImproperlyConfigured: An entry of ``BOLT["API"]`` leads to no API.
    """
    configured = bolt_settings().api
    if configured is not None:
        return _unique(api for path in configured for api in _configured_apis(path))
    return _unique(api for name in _conventional_modules() for api in _apis_in(import_module(name)))


def _unique(apis: Iterable[BoltAPI]) -> list[BoltAPI]:
    """Drop repetitions: one module may import the API of another."""
    return list({id(api): api for api in apis}.values())


def _apis_in(module: ModuleType) -> list[BoltAPI]:
    return [value for value in vars(module).values() if isinstance(value, BoltAPI)]


def _configured_apis(path: str) -> list[BoltAPI]:
    found = _resolve(path)
    apis = _apis_in(found) if isinstance(found, ModuleType) else [found] if isinstance(found, BoltAPI) else []
    if not apis:
        raise ImproperlyConfigured(
            f"BOLT['API'] names {path!r}, which is neither a BoltAPI nor a module with one."
        )
    return apis


def _resolve(path: str) -> Any:
    """Follow a dotted path through modules, then through attributes; a colon says where those begin."""
    module_path, colon, attributes = path.partition(":")
    module_name, rest = (module_path, attributes.split(".")) if colon else _split(module_path)
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ImproperlyConfigured(f"BOLT['API'] names {path!r}, which does not exist.") from error
        raise
    for attribute in rest:
        if not hasattr(found, attribute):
            raise ImproperlyConfigured(f"BOLT['API'] names {path!r}, which does not exist.")
        found = getattr(found, attribute)
    return found


def _split(path: str) -> tuple[str, list[str]]:
    """Split a dotted path into its longest part that is a module, and the attributes after it."""
    parts = path.split(".")
    length = 1
    while length < len(parts) and _has_module(".".join(parts[:length]), parts[length]):
        length += 1
    return ".".join(parts[:length]), parts[length:]


def _has_module(package: str, name: str) -> bool:
    return find_spec(package) is not None and module_has_submodule(import_module(package), name)


def _conventional_modules() -> Iterator[str]:
    yield from _project_module()
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, _MODULE):
            yield f"{config.name}.{_MODULE}"


def _project_module() -> Iterator[str]:
    """Yield the nearest ``api`` beside the settings module, or beside a package that it is in."""
    name = _settings_module()
    parents = name.split(".")[:-1] if name else []
    for length in range(len(parents), 0, -1):
        package = ".".join(parents[:length])
        if module_has_submodule(import_module(package), _MODULE):
            yield f"{package}.{_MODULE}"
            return
    if name and not parents and _is_beside(name):
        yield _MODULE


def _settings_module() -> str | None:
    """Return the name of the settings module; None for settings made by ``settings.configure()``."""
    layer: Any = settings
    while layer is not None:
        # What `override_settings` puts over the settings says that there is no module.
        if name := getattr(layer, "SETTINGS_MODULE", None):
            return str(name)
        layer = getattr(layer, "default_settings", None)
    return None


def _is_beside(settings_module: str) -> bool:
    """Whether a top-level ``api`` is in the folder of the settings module, and not just any ``api``."""
    found, own = find_spec(_MODULE), find_spec(settings_module)
    if found is None or own is None or not found.origin or not own.origin:
        return False
    folder = Path(found.origin).parent
    return Path(own.origin).parent in (folder, folder.parent if found.submodule_search_locations else folder)
