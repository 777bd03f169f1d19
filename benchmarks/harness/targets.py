"""What the project wants to reach: ratios of one server's scenario to another's, within one run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Target:
    """``server`` in ``scenario`` shall be ``least`` times as good as ``other`` in ``other_scenario``."""

    scenario: str
    other: str
    least: float
    server: str = "bolt"
    other_scenario: str = ""

    def describe(self) -> str:
        """Return what is compared."""
        where = f" in {self.other_scenario}" if self.other_scenario else ""
        return f"{self.server} against {self.other}{where}"

    def is_part_of(self, record: dict[str, Any]) -> bool:
        """Whether a run was asked for both."""
        scenarios = {self.scenario, self.other_scenario or self.scenario}
        return {self.server, self.other} <= set(record["servers"]) and scenarios <= set(record["scenarios"])

    def within_reach(self, record: dict[str, Any]) -> float | None:
        """Return the same of the limit; None where that is compared with itself, or was not measured."""
        return None if self.other == "limit" else replace(self, server="limit").reached(record)

    def reached(self, record: dict[str, Any]) -> float | None:
        """Return the median of the ratios within the rounds, or None where one of both is missing."""
        own = numbers(record, self.scenario, self.server)
        others = numbers(record, self.other_scenario or self.scenario, self.other)
        more = record["scenarios"].get(self.scenario, {}).get("more_is_better", True)
        rounds = [number for number in own.keys() & others.keys() if own[number] > 0 and others[number] > 0]
        if not rounds:
            return None
        better = [own[n] / others[n] if more else others[n] / own[n] for n in rounds]
        return statistics.median(better)


@dataclass(frozen=True)
class Ceiling:
    """``server``'s number in ``scenario`` shall be ``most`` at most."""

    scenario: str
    most: float
    server: str = "bolt"

    def reached(self, record: dict[str, Any]) -> float | None:
        """Return the median, or None where there is none."""
        entry = record["summary"].get(self.scenario, {}).get(self.server)
        return entry["value"]["median"] if entry else None


def numbers(record: dict[str, Any], scenario: str, server: str) -> dict[int, float]:
    """Return the scenario's number of each round."""
    metric = record["scenarios"].get(scenario, {}).get("metric")
    return {
        measurement["round"]: measurement["report"][metric]
        for measurement in record["measurements"]
        if (measurement["scenario"], measurement["server"]) == (scenario, server)
    }


OLD = "django-bolt-0.13"
TARGETS = [
    Target("echo-1", "limit", 0.75),
    Target("echo-1", "picows", 1.0),
    Target("echo-1", OLD, 6),
    Target("echo-16", "limit", 0.5),
    Target("echo-16", "picows", 8),
    Target("echo-16", OLD, 60),
    Target("fanout-500", "limit", 0.8),
    Target("fanout-500", "picows", 1.0),
    Target("fanout-500", OLD, 20),
    Target("fanout-topic-500", "limit", 0.9),
    Target("fanout-topic-500", "picows", 1.1, other_scenario="fanout-500"),
    Target("fanout-topic-500", OLD, 25, other_scenario="fanout-500"),
    Target("fanout-topic-500", "bolt", 1.0, other_scenario="fanout-500"),
    Target("fanout-topic-500", "channels", 20),
    Target("fanout-topic-500-two", "channels-redis", 10),
    Target("fanout-topic-500-two", "channels-redis", 10, server="bolt-redis"),
    Target("idle-10000", "picows", 6),
    Target("idle-10000", OLD, 6),
    Target("connect", "socketify", 0.7),
    Target("connect", "picows", 2),
    Target("connect", OLD, 2),
    Target("json-16", "picows", 4),
]
CEILINGS = [Ceiling("idle-10000", 4.0)]
SCENARIO_NAMES = list(dict.fromkeys(target.scenario for target in TARGETS))
SERVER_NAMES = list(dict.fromkeys(name for target in TARGETS for name in (target.server, target.other)))
