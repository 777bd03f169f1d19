from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_bolt import BoltAPI
from django_bolt.endpoints.autodiscovery import discover

API = "from django_bolt import BoltAPI\napi = BoltAPI()\n"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of a project that is forgotten after the test."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write_file(path: str, text: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        importlib.invalidate_caches()

    yield write_file
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def use(settings_module: str) -> Any:
    return override_settings(SETTINGS_MODULE=settings_module)


def module_of(api: BoltAPI) -> list[str]:
    return sorted(name for name, module in list(sys.modules.items()) if getattr(module, "api", None) is api)


def test_nothing_is_found_where_nothing_is() -> None:
    assert discover() == []


@pytest.mark.parametrize(
    "settings_module", ["site_a.settings", "site_a.settings.dev", "site_a.conf.settings.dev"]
)
def test_the_project_package_is_searched(write: Write, settings_module: str) -> None:
    *packages, _ = settings_module.split(".")
    for length in range(1, len(packages) + 1):
        write("/".join([*packages[:length], "__init__.py"]))
    write("site_a/api.py", API)
    with use(settings_module):
        [api] = discover()
    assert module_of(api) == ["site_a.api"]


def test_the_project_package_is_found_under_overridden_settings(write: Write) -> None:
    write("site_o/__init__.py")
    write("site_o/api.py", API)
    with use("site_o.settings"), override_settings(DEBUG=True), override_settings(BOLT={}):
        [api] = discover()
    assert module_of(api) == ["site_o.api"]


def test_the_nearest_package_wins(write: Write) -> None:
    write("site_b/__init__.py")
    write("site_b/config/__init__.py")
    write("site_b/api.py", API)
    write("site_b/config/api.py", API)
    with use("site_b.config.settings"):
        [api] = discover()
    assert module_of(api) == ["site_b.config.api"]


@pytest.mark.parametrize("beside", [True, False])
def test_beside_a_top_level_settings_module(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "flat")
    write("flat/flat_settings.py")
    write("flat/api.py" if beside else "api.py", API)
    with use("flat_settings"):
        assert len(discover()) == (1 if beside else 0)


def test_each_installed_app_is_searched(write: Write) -> None:
    write("shop/__init__.py")
    write("shop/api.py", API + "staff_api = BoltAPI()\n")
    write("plain/__init__.py")
    with override_settings(INSTALLED_APPS=["shop", "plain"]):
        assert len(discover()) == 2


def test_an_api_module_of_something_else_is_passed_over(write: Write) -> None:
    write("rest/__init__.py")
    write("rest/api.py", "class ViewSet: pass\n")
    with override_settings(INSTALLED_APPS=["rest"]):
        assert discover() == []


def test_an_api_that_another_module_imports_counts_once(write: Write) -> None:
    write("one/__init__.py")
    write("one/api.py", API)
    write("two/__init__.py")
    write("two/api.py", "from one.api import api\n")
    with override_settings(INSTALLED_APPS=["one", "two"]):
        assert len(discover()) == 1


def test_an_error_inside_an_api_module_is_not_swallowed(write: Write) -> None:
    write("broken/__init__.py")
    write("broken/api.py", "import there_is_no_such_module\n")
    with (
        override_settings(INSTALLED_APPS=["broken"]),
        pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"),
    ):
        discover()


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("named.api", 2),
        ("named.api.api", 1),
        ("named.api:api", 1),
        ("named.api.Holder.api", 1),
        ("named.api:Holder.api", 1),
        (["named.api:api", "named.api:second"], 2),
        (["named.api", "named.api.api"], 2),
        ([], 0),
    ],
)
def test_settings_name_modules_or_objects(write: Write, path: Any, count: int) -> None:
    write("named/__init__.py")
    write("named/api.py", API + "second = BoltAPI()\nclass Holder:\n    api = api\n")
    with override_settings(BOLT={"API": path}, INSTALLED_APPS=["named"]):
        assert len(discover()) == count


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere", "does not exist"),
        ("nowhere.api", "does not exist"),
        ("nowhere:api", "does not exist"),
        ("empty.nowhere", "does not exist"),
        ("empty.views.nowhere", "does not exist"),
        ("empty.views:nowhere", "does not exist"),
        ("empty.views", "neither a BoltAPI nor a module with one"),
        ("empty.views.number", "neither a BoltAPI nor a module with one"),
    ],
)
def test_a_setting_that_leads_nowhere_is_named(write: Write, path: str, problem: str) -> None:
    write("empty/__init__.py")
    write("empty/views.py", "number = 1\n")
    with override_settings(BOLT={"API": path}), pytest.raises(ImproperlyConfigured) as caught:
        discover()
    assert problem in str(caught.value)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("path", ["faulty.api", "faulty.api:api", "faulty.api.api"])
def test_an_error_inside_a_configured_module_is_not_swallowed(write: Write, path: str) -> None:
    write("faulty/__init__.py")
    write("faulty/api.py", "import there_is_no_such_module\n")
    with (
        override_settings(BOLT={"API": path}),
        pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"),
    ):
        discover()
