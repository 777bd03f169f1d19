"""Count instructions of single operations under valgrind, and fail where there are many more than before.

Each operation runs some times and more times; the difference of both counts, divided, is what one takes. Unlike times,
counts hardly depend on what else the machine does. They do depend on compiler and libraries, so the bounds in
``bounds.json`` are twice what was counted when they were set: they catch slips of an order, not of a tenth. A copy of
many bytes by one ``rep movsb`` counts as an instruction for each.

    python benchmarks/micro/instructions.py             # compare with the bounds
    python benchmarks/micro/instructions.py --set       # set them anew
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOUNDS = HERE / "bounds.json"
SLACK = 2.0
REFERENCES = re.compile(r"I\s+refs:\s+([\d,]+)")
CASES = {
    **dict.fromkeys(["parse-32", "mask-32", "encode-32", "accept-key"], (1_000, 11_000)),
    **dict.fromkeys(["parse-64k", "mask-64k", "encode-64k", "inflate-1k", "deflate-1k"], (100, 600)),
}
PYTHON_CASES = {"echo-32": (160, 3_360)}


def count(*command: str) -> int:
    """Return the instructions that a program executes, kernel excluded."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    outcome = subprocess.run(
        [*valgrind, *command], env=environment, capture_output=True, text=True, check=False
    )
    found = REFERENCES.search(outcome.stderr)
    if outcome.returncode or not found:
        sys.exit(f"{' '.join(command)} failed under valgrind:\n{outcome.stderr[-2000:]}")
    return int(found.group(1).replace(",", ""))


def each(command: list[str], counts: tuple[int, int]) -> float:
    """Return the instructions of one operation."""
    few, many = counts
    return (count(*command, str(many)) - count(*command, str(few))) / (many - few)


def build() -> Path:
    """Build the program with cargo; return its path."""
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--package", "bolt-micro"], cwd=ROOT, check=True
    )
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release" / "bolt-micro"


def measure() -> dict[str, float]:
    """Return the instructions of every operation."""
    program = str(build())
    found = {name: each([program, name], counts) for name, counts in CASES.items()}
    python = [sys.executable, str(HERE / "echo.py")]
    return found | {name: each(python, counts) for name, counts in PYTHON_CASES.items()}


def compare(found: dict[str, float], bounds: dict[str, int]) -> int:
    """Print a table; return how many operations are beyond their bounds."""
    print(f"{'operation':14}{'instructions':>14}{'bound':>12}")
    beyond = 0
    for name, instructions in found.items():
        bound = bounds.get(name, 0)
        beyond += instructions > bound
        print(f"{name:14}{instructions:>14,.0f}{bound:>12,}{'  BEYOND' if instructions > bound else ''}")
    return beyond


def main() -> int:
    """Measure, then compare or set."""
    parser = argparse.ArgumentParser(description="Count instructions of single operations.")
    parser.add_argument("--set", action="store_true", help="set the bounds to twice what is counted now")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        print(
            "valgrind is missing, which counts the instructions; scripts/install-valgrind installs it on Debian"
        )
        return 1
    found = measure()
    if arguments.set:
        bounds = {name: round(instructions * SLACK) for name, instructions in found.items()}
        BOUNDS.write_text(json.dumps(bounds, indent=2) + "\n", encoding="utf-8")
    return 1 if compare(found, json.loads(BOUNDS.read_text(encoding="utf-8"))) else 0


if __name__ == "__main__":
    sys.exit(main())
