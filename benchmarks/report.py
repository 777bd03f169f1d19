"""Render the JSON of a run: ``python benchmarks/report.py benchmarks/results/compare-….json``.

Writes ``REPORT.md`` and its plots beside the JSON. Plots need matplotlib, of the extra ``bench``; without it the report
has none.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from harness.rendering import render


def main() -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description="Render the results of a run.")
    parser.add_argument("results", type=Path, help="JSON that compare.py has written")
    parser.add_argument("--output", type=Path, help="the report; default: REPORT.md beside the JSON")
    arguments = parser.parse_args()
    record = json.loads(arguments.results.read_text(encoding="utf-8"))
    output: Path = arguments.output or arguments.results.parent / "REPORT.md"
    plots = {}
    if importlib.util.find_spec("matplotlib"):
        from harness.plots import draw

        plots = draw(record, output)
    output.write_text(render(record, plots), encoding="utf-8")
    print(f"written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
