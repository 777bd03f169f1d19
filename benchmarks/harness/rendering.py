"""A report in Markdown from the JSON of a run: method first, then every row, losing ones too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.summary import REFERENCES
from harness.targets import CEILINGS, TARGETS

Record = dict[str, Any]
DIGITS = 100
"""Numbers from here on need no decimals."""

METHOD = """\
Each measurement starts a fresh server on core {server} and the load generator, one thread, on core {generator}; all
traffic goes over loopback. Within a round every server runs a scenario before the next scenario begins. Every answer
is compared byte for byte with the one expected. Numbers are medians of {rounds} round(s) of {seconds:g} seconds, with
minimum and maximum; what takes minutes was measured in the first round only. **Ratios are computed within a round**:
the column "bolt is × as good" says how many times as good as the row's server bolt is; below 1, bolt loses. A row is
marked

* `generator_bound` where the generator had used up its core and the server had not: the server could have done more;
* `disturbed` where other processes took more than 5 % of the time from generator or server: the number is too low.

Servers of two processes share the server's core(s); a Valkey, where there is one, is one of the server's processes.
"""


LIMITS = """\
The last column has what the limit, a bare event loop without Python, reaches in the same rounds: a target well above
that asks for more than the kernel of this machine gives."""


def render(record: Record, plots: dict[str, str]) -> str:
    """Return the report; ``plots`` has the file of each group's plot."""
    parts = ["# Results", *heading(record), "## Targets", *targets(record), "## Scenarios"]
    for name, summary in record["summary"].items():
        if summary:
            parts += scenario(name, record["scenarios"][name], summary)
    parts += ["## Plots", *(f"![{title}]({file})" for title, file in plots.items())] if plots else []
    parts += ["## Not measured", *missing(record), "## Servers", *servers(record)]
    return "\n\n".join(parts) + "\n"


def heading(record: Record) -> list[str]:
    """Return method and machine."""
    method = METHOD.format(
        **record["cores"],
        rounds=record["rounds"],
        seconds=record["seconds"],
    )
    return [method.strip(), facts(record)]


def facts(record: Record) -> str:
    """Return when, by what and on what a run was made."""
    machine, versions = record["machine"], record["versions"]
    rows = {
        "When": record["when"],
        "Command": f"`{record['command']}`",
        "Processor": f"{machine['cpu']}, {machine['cpus']} cores, {machine['memory_gib']} GiB",
        "Kernel": f"{machine['kernel']}, {machine['architecture']}, {machine['tcp_congestion_control']}",
        "Load at the end": ", ".join(f"{load:.2f}" for load in machine["load_average"]),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return table(["", ""], rows.items())


def targets(record: Record) -> list[str]:
    """Return the table of what was wanted and what was reached, of what the run was asked for."""
    rows = []
    for target in TARGETS:
        if not target.is_part_of(record):
            continue
        reached = verdict(target.reached(record), target.least)
        limit = target.within_reach(record)
        bound = "" if limit is None else f"{limit:.2f}"
        rows.append([target.scenario, target.describe(), f"≥ {target.least:g}", *reached, bound])
    for ceiling in CEILINGS:
        if ceiling.scenario not in record["scenarios"]:
            continue
        value = ceiling.reached(record)
        unit = record["scenarios"].get(ceiling.scenario, {}).get("unit", "")
        outcome = ["not measured", ""] if value is None else [show(value), yes(value <= ceiling.most)]
        rows.append([ceiling.scenario, ceiling.server, f"≤ {ceiling.most:g} {unit}", *outcome, ""])
    return [LIMITS, table(["scenario", "what", "target", "reached", "", "the limit reaches"], rows)]


def verdict(ratio: float | None, least: float) -> list[str]:
    """Return a ratio and whether it is enough."""
    return ["not measured", ""] if ratio is None else [f"{ratio:.2f}", yes(ratio >= least)]


def yes(good: bool) -> str:
    """Return a mark."""
    return "met" if good else "**missed**"


def scenario(name: str, about: Record, summary: Record) -> list[str]:
    """Return heading, table and command of a scenario, the best server first."""
    details = [key for key in COLUMNS if any(key in entry for entry in summary.values())]
    references = [r for r in REFERENCES if any(r in entry["ratios"] for entry in summary.values())]
    ordered = sorted(
        summary.items(), key=lambda item: item[1]["value"]["median"], reverse=about["more_is_better"]
    )
    header = ["server", about["unit"], *(f"{r} is × as good" for r in references)]
    header += [*(COLUMNS[key] for key in details), "server CPU", "doubts"]
    rows = []
    for server, entry in ordered:
        row = [server, bracketed(entry["value"])]
        row += [bracketed(entry["ratios"][r]) if r in entry["ratios"] else "" for r in references]
        row += [show(entry.get(key)) for key in details]
        rows.append([*row, share(entry["server_cpu"]), doubts(entry)])
    return [f"### {name}: {about['title']}", table(header, rows), f"`{about['command']}`"]


COLUMNS = {
    "p50_us": "p50 µs",
    "p99_us": "p99 µs",
    "p999_us": "p99.9 µs",
    "delivery_p50_us": "p50 µs of a delivery",
    "delivery_p99_us": "p99 µs of a delivery",
    "pings": "pings",
}


def doubts(entry: Record) -> str:
    """Return what makes a row doubtful."""
    marks = [
        f"`{mark}` {entry[mark]}/{entry['rounds']}"
        for mark in ("generator_bound", "disturbed")
        if entry[mark]
    ]
    return ", ".join([*marks, *([f"**{entry['errors']} errors**"] if entry["errors"] else [])])


def missing(record: Record) -> list[str]:
    """Return what could not be measured, and why."""
    lines = [f"* {name}: {last_line(reason)}" for name, reason in record["unavailable"].items()]
    lines += [
        f"* {failure['server']} in {failure['scenario']}, round {failure['round'] + 1}: {last_line(failure['reason'])}"
        for failure in record["failures"]
    ]
    return ["\n".join(lines) or "Everything asked for was measured."]


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def servers(record: Record) -> list[str]:
    """Return commands, notes and versions."""
    rows = [[name, about["notes"], f"`{about['command']}`"] for name, about in record["servers"].items()]
    parts = [table(["server", "notes", "command"], rows)]
    for name, environment in record["environments"].items():
        parts.append(f"**{name}** ({environment['python']}): {', '.join(environment['packages'])}")
    return parts


def table(header: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def bracketed(spread: dict[str, float]) -> str:
    """Return a median with minimum and maximum."""
    return f"{show(spread['median'])} [{show(spread['min'])} – {show(spread['max'])}]"


def show(number: float | None) -> str:
    """Return a number with as many decimals as it deserves."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= DIGITS else f"{number:,.2f}"


def share(number: float | None) -> str:
    """Return a share in percent."""
    return "" if number is None else f"{number:.0%}"
