"""Every Python example of the documentation runs.

The blocks of a page are executed in the order of the page, in one module of its own, so that an example goes
on from those above it. Functions whose names begin with ``test_`` are called after the block that defines
them, asynchronous ones on an event loop, with the fixtures that they name; test cases are run with a database. A page
that defines `BOLT` shows settings: they must be settings that exist.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import textwrap
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeGuard

import pytest
from django.test import override_settings

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
    module = ModuleType(name)
    names = (name, "mysite", "mysite.api")  # the latter for tests, which import what stands above them
    sys.modules.update(dict.fromkeys(names, module))
    yield module
    for name in names:
        del sys.modules[name]


def with_database(page: Path) -> Any:
    """Mark a page that needs the database; pytest-django makes it for marked tests only."""
    text, marks = page.read_text(), []
    if "TestCase)" in text or re.search(r"^def test_\w*\(db\)", text, re.MULTILINE):
        marks.append(pytest.mark.django_db)
    elif ".objects." in text:  # in no transaction, so that what waits for a commit happens
        marks.append(pytest.mark.django_db(transaction=True))
    return pytest.param(page, marks=marks, id=name_of(page))


@pytest.mark.parametrize("page", [with_database(page) for page in with_examples()])
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
        member = vars(module)[name]
        if name.startswith("test_"):
            call(member, request)
        elif is_case(member) and member.__module__ == module.__name__:
            run_case(member)


def is_case(member: Any) -> TypeGuard[type[unittest.TestCase]]:
    """Tell whether a member of a module is a test case."""
    return inspect.isclass(member) and issubclass(member, unittest.TestCase)


def call(test: Any, request: pytest.FixtureRequest) -> None:
    """Call a test with the fixtures that it names; the project's API is that of the page."""
    names = inspect.signature(test).parameters
    with override_settings(BOLT={"API": "example_page:api"}):
        fixtures = {name: request.getfixturevalue(name) for name in names}
    result = test(**fixtures)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def run_case(case: type[unittest.TestCase]) -> None:
    """Run a test case as Django's runner does."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun > 0
    problems = [text for _, text in (*result.errors, *result.failures)]
    assert not problems, "\n".join(problems)


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
