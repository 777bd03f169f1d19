"""The rule of the layers that import-linter cannot see: it knows no compiled modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_bolt

PACKAGE = Path(django_bolt.__file__).parent
MAY_IMPORT_THE_CORE = {"server", "testing"}


def imported_modules(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def imports_the_core(source: str) -> bool:
    """Return whether a module imports ``_core``."""
    return any("_core" in name.split(".") for name in imported_modules(source))


@pytest.mark.parametrize(
    "source",
    [
        "from django_bolt import _core",
        "import django_bolt._core",
        "def f():\n from django_bolt._core import Reactor",
    ],
)
def test_an_import_of_the_core_is_seen(source: str) -> None:
    assert imports_the_core(source)


def test_only_server_and_testing_import_the_core() -> None:
    importing = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if imports_the_core(path.read_text())
    }
    assert importing == MAY_IMPORT_THE_CORE
