"""kosoku, the fuzzing client: installed on demand into an environment of its own, and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Collection
from pathlib import Path

__all__ = ["FuzzerError", "install_fuzzer", "run_fuzzer"]

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
MAIN = Path(__file__).resolve().parent / "kosoku_main.py"
GROUP_TIMEOUT = 3600
"""Seconds for one group of cases; the longest, 12, takes minutes."""


class FuzzerError(Exception):
    """The fuzzer could not be installed, or ended without reports."""


def install_fuzzer(environment: Path) -> Path:
    """Install the fuzzer unless the environment has what the requirements ask for.

    Not into the environment of the package, whose other dependencies must not decide its version.

    Args:
        environment: Directory of the virtual environment; removed and made anew when requirements changed.

    Returns:
        The fuzzer's program.

    Raises:
        FuzzerError: pip failed.
    """
    program = environment / "bin" / "kosoku"
    installed = environment / "requirements.txt"
    if program.exists() and installed.exists() and installed.read_text() == REQUIREMENTS.read_text():
        return program
    venv.create(environment, clear=True, with_pip=True)
    python = environment / "bin" / "python"
    options = ["--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    # `-I`: a PYTHONPATH of the outside must not count as installed.
    if subprocess.run([python, "-I", "-m", "pip", "install", *options], check=False).returncode:
        raise FuzzerError(f"{REQUIREMENTS} could not be installed with {sys.executable}.")
    shutil.copyfile(REQUIREMENTS, installed)
    return program


def run_fuzzer(
    program: Path, address: str, patterns: Collection[str], directory: Path, parallel: int
) -> None:
    """Run cases against a server and leave the reports in a directory.

    Args:
        program: The fuzzer.
        address: ``host:port`` of the server.
        patterns: Ids of cases, with ``*`` for any.
        directory: Emptied first.
        parallel: Cases at a time.

    Raises:
        FuzzerError: It ended without reports.
    """
    shutil.rmtree(directory, ignore_errors=True)
    command = [str(program.with_name("python")), str(MAIN), "-m", "fuzzingclient"]
    command += ["-p", str(parallel), "-o", str(directory)]
    for pattern in patterns:
        command += ["-i", pattern]
    try:
        done = subprocess.run(
            [*command, address], capture_output=True, text=True, timeout=GROUP_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise FuzzerError(f"Cases {', '.join(patterns)} took more than {GROUP_TIMEOUT} s.") from None
    # 1 says that cases failed, which the reports say better.
    if done.returncode not in (0, 1) or not (directory / "index.json").exists():
        # The last line: a name of no case ends in a traceback too.
        said = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise FuzzerError(f"kosoku ended with {done.returncode}: {said}")
