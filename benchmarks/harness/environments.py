"""An environment for each peer, pinned in ``environments/``, made when it is first needed.

A file of requirements may begin with ``# python: 3.12`` where the peer does not run on the Python that runs this.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.errors import UnavailableError

HERE = Path(__file__).resolve().parent.parent
REQUIREMENTS = HERE / "environments"
DIRECTORY = HERE / ".venvs"
NODE_PROJECT = HERE / "servers" / "node"
WANTS_PYTHON = "# python: "


def python_of(name: str | None) -> Path:
    """Return the interpreter of an environment; None is the one that runs this.

    Raises:
        UnavailableError: It cannot be made here.
    """
    if name is None:
        return Path(sys.executable)
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    directory = DIRECTORY / name
    if not is_fresh(directory, text):
        make(directory, text, name)
    return directory / "bin" / "python"


def make(directory: Path, text: str, name: str) -> None:
    """Make an environment of Python, with pip."""
    print(f"making the environment of {name}", file=sys.stderr, flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    run(str(find_python(text)), "-m", "venv", str(directory))
    pip = [
        str(directory / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run(*pip, "--requirement", str(REQUIREMENTS / f"{name}.txt"))
    seal(directory, text)


def find_python(text: str) -> Path:
    """Return a Python of the version that the requirements ask for, on PATH or of pyenv.

    Raises:
        UnavailableError: There is none.
    """
    if not text.startswith(WANTS_PYTHON):
        return Path(sys.executable).resolve()
    version = text.splitlines()[0].removeprefix(WANTS_PYTHON).strip()
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(f"python{version}")
    candidates = [on_path] if on_path else []
    candidates += map(str, sorted(root.glob(f"versions/{version}.*/bin/python")))
    for candidate in candidates:
        # A shim of pyenv is there for versions that are not active, too.
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return Path(candidate)
    raise UnavailableError(f"needs Python {version}, which is not here")


def node_modules() -> Path:
    """Return the directory of the packages for Node, installed by npm as ``package.json`` says.

    Raises:
        UnavailableError: Node or npm is not here, or the packages cannot be had.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise UnavailableError("node and npm are not here")
    text = (NODE_PROJECT / "package.json").read_text(encoding="utf-8")
    directory = DIRECTORY / "node"
    if not is_fresh(directory, text):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        shutil.copy(NODE_PROJECT / "package.json", directory)
        run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", cwd=directory)
        seal(directory, text)
    return directory / "node_modules"


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a program.

    Raises:
        UnavailableError: It fails; the text has the end of what it printed.
    """
    outcome = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if outcome.returncode:
        lines = (outcome.stderr or outcome.stdout).strip().splitlines()
        raise UnavailableError(f"{Path(command[0]).name} {command[1]}: {' '.join(lines[-2:])}")


def is_fresh(directory: Path, text: str) -> bool:
    """Whether an environment was made from this text, to its end."""
    stamp = directory / ".made-from"
    return stamp.exists() and stamp.read_text(encoding="ascii") == digest(text)


def seal(directory: Path, text: str) -> None:
    """Note what an environment was made from."""
    (directory / ".made-from").write_text(digest(text), encoding="ascii")


def digest(text: str) -> str:
    """Return what stands for a text."""
    return hashlib.sha256(text.encode()).hexdigest()
