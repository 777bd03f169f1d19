"""Every Python example of the documentation runs.

The blocks of a page are executed in the order of the page, in one module of its own, so that an example goes
on from those above it. Functions whose names begin with ``test_`` are called after the block that defines
them, with the fixtures that they name; test cases of Django's are run. A page that defines `BOLT` shows settings:
they must be settings that exist.
"""

from __future__ import annotations

import re
import sys
import textwrap
import unittest
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import django.test
import pytest

from django_bolt.conf import find_problems

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
FENCE = re.compile(
    r"^(?P<indent> *)```python\b[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b")


class Block(NamedTuple):
    """One example and the line of the page that it begins on."""

    line: int
    code: str


def blocks_of(text: str) -> list[Block]:
    """Return the Python blocks of a page, those inside of boxes too."""
    return [
        Block(text.count("\n", 0, match.start("code")) + 1, textwrap.dedent(match["code"]))
        for match in FENCE.finditer(text)
    ]


def with_examples() -> list[Path]:
    """Return the pages that have Python blocks."""
    return [page for page in PAGES if blocks_of(page.read_text())]


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return str(page.relative_to(ROOT))


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module for the examples of one page; annotations and dataclasses look it up by its name."""
    name = "example_page"
    module = sys.modules[name] = ModuleType(name)
    yield module
    del sys.modules[name]


def runnable() -> Iterator[Any]:
    """Yield the pages with what pytest must know before: which of them need the database."""
    for page in with_examples():
        needs_database = re.search(r"^def test_\w*\(db\)|TestCase", page.read_text(), re.MULTILINE)
        yield pytest.param(page, marks=[pytest.mark.django_db] if needs_database else [], id=name_of(page))


@pytest.mark.parametrize("page", list(runnable()))
def test_examples_run(page: Path, module: ModuleType, request: pytest.FixtureRequest) -> None:
    for block in blocks_of(page.read_text()):
        run(block, page, module, request)
    assert find_problems(getattr(module, "BOLT", {})) == []


def run(block: Block, page: Path, module: ModuleType, request: pytest.FixtureRequest) -> None:
    """Execute a block and the tests that it defines; a traceback names the line of the page."""
    before = set(vars(module))
    source = "\n" * (block.line - 1) + block.code
    exec(compile(source, page, "exec", dont_inherit=True), vars(module))
    for name in sorted(set(vars(module)) - before):
        value = vars(module)[name]
        if name.startswith("test_"):
            value(**{fixture: request.getfixturevalue(fixture) for fixture in signature(value).parameters})
        elif (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and issubclass(value, django.test.TestCase)
        ):
            run_test_case(value)


def run_test_case(test_case: type[django.test.TestCase]) -> None:
    """Run the tests of a class; the page must have used the database before, by its fixture."""
    result = unittest.defaultTestLoader.loadTestsFromTestCase(test_case).run(unittest.TestResult())
    assert result.testsRun
    for _, text in result.errors + result.failures:
        raise AssertionError(text)


def test_every_fence_is_found() -> None:
    for page in PAGES:
        text = page.read_text()
        assert len(blocks_of(text)) == text.count("```python"), name_of(page)


def test_an_example_that_fails_names_its_line(module: ModuleType, request: pytest.FixtureRequest) -> None:
    page = ROOT / "docs" / "page.md"
    text = "# Title\n\n??? box\n\n    ```python\n    def test_wrong():\n        raise KeyError\n    ```\n"
    (block,) = blocks_of(text)
    with pytest.raises(KeyError) as raised:
        run(block, page, module, request)
    last = raised.traceback[-1]
    assert (str(last.path), last.lineno + 1) == (str(page), 7)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE_TARGET.findall(page.read_text())) <= targets
