"""Type checkers infer the right types for what users write.

The files in ``cases`` say by `assert_type` what must be inferred. Where a checker must find an error, the line says to
ignore it; both checkers are told to complain of such a line where they find none.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("cases")
SOURCES = ROOT / "python"

# The first run, without a cache, reads all of Django; other tests may share the machine.
pytestmark = pytest.mark.timeout(300)


def needs(module: str) -> pytest.MarkDecorator:
    """Skip a test where a type checker is not installed."""
    is_missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(is_missing, reason=f"{module} is not installed; it comes with the extra 'dev'")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def untyped_django(tmp_path: Path) -> Path:
    """What a type checker knows of those parts of Django that clients are made of, where it has no stubs of it."""
    stubs = tmp_path / "stubs"
    for module in ("django", "django/utils", "django/utils/asyncio", "django/test"):
        (stubs / module).mkdir(parents=True)
        stub = "from typing import Any\n\nClient: Any\nAsyncClient: Any\ndef async_unsafe(message: Any) -> Any: ...\n"
        (stubs / module / "__init__.pyi").write_text(stub)
    return stubs


def test_there_are_cases() -> None:
    assert len(list(CASES.glob("*.py"))) >= 5


def check_with_mypy(*paths: Path, stubs: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Without the configuration of the project: its users have none of it, nor the plugin for Django.
    cache = ".mypy_cache/untyped" if stubs else ".mypy_cache/cases"
    options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={cache}"]
    places = [str(SOURCES)] if stubs is None else [str(stubs), str(SOURCES)]
    return run("mypy", *options, *map(str, paths), MYPYPATH=os.pathsep.join(places))


@needs("mypy")
def test_mypy() -> None:
    result = check_with_mypy(CASES)
    assert result.returncode == 0, result.stdout + result.stderr


@needs("mypy")
def test_mypy_finds_what_is_wrong(tmp_path: Path) -> None:
    case = tmp_path / "wrong.py"
    case.write_text(WRONG)
    result = check_with_mypy(case)
    assert [line.rpartition("[")[2] for line in result.stdout.splitlines()[:-1]] == [
        "assert-type]",
        "unused-ignore]",
    ]


@needs("mypy")
def test_mypy_without_stubs_of_django(untyped_django: Path) -> None:
    result = check_with_mypy(CASES / "clients.py", stubs=untyped_django)
    assert result.returncode == 0, result.stdout + result.stderr


def check_with_pyright(directory: Path, *paths: Path, stubs: Path | None = None) -> list[dict[str, object]]:
    """Return what pyright finds, with a configuration that is written into a directory."""
    configuration = {
        "extraPaths": [str(SOURCES)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,  # those are for mypy
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportPrivateUsage": "none",
    }
    if stubs is not None:
        configuration["stubPath"] = str(stubs)
    project = directory / "pyrightconfig.json"
    project.write_text(json.dumps(configuration))
    options = ["--outputjson", "--pythonpath", sys.executable, "--project", str(project), *map(str, paths)]
    result = run("pyright", *options, PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] == len(paths)
    found: list[dict[str, object]] = report["generalDiagnostics"]
    return found


@needs("pyright")
def test_pyright(tmp_path: Path) -> None:
    assert check_with_pyright(tmp_path, *CASES.glob("*.py")) == []


@needs("pyright")
def test_pyright_without_stubs_of_django(tmp_path: Path, untyped_django: Path) -> None:
    assert check_with_pyright(tmp_path, CASES / "clients.py", stubs=untyped_django) == []


@needs("pyright")
def test_pyright_finds_what_is_wrong(tmp_path: Path) -> None:
    case = tmp_path / "wrong.py"
    case.write_text(WRONG)
    found = check_with_pyright(tmp_path, case)
    assert [error["rule"] for error in found] == [
        "reportAssertTypeFailure",
        "reportUnnecessaryTypeIgnoreComment",
    ]


WRONG = """
from typing import assert_type

import msgspec

from django_bolt import WebSocket


class Say(msgspec.Struct):
    text: str


async def handler(websocket: WebSocket) -> None:
    assert_type(await websocket.receive_json(type=Say), str)
    await websocket.send_text("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
"""
