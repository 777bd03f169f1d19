"""Plots of a run as SVG: bars for each scenario, lines where connections grow in number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

Record = dict[str, Any]

BARS = {
    "Echo": ["echo-1", "echo-16", "json-16", "echo-16-1k", "compressed-1k"],
    "One message to 500": ["fanout-500", "fanout-topic-500", "fanout-topic-500-two"],
    "Connections": ["connect", "connect-jwt", "idle-10000"],
    "Latency and HTTP": ["rate-20000", "page"],
}
GROWTH = {
    "Echo as connections grow": "echo-1-of-{}",
    "Fan-out as connections grow": "fanout-{}",
}
COUNTS = (100, 1_000, 10_000)
OWN, OTHERS = "#2f855a", "#a0aec0"
MARKERS = "osD^v<>PX*"
WIDE = 50
"""Bars whose lengths differ more than so many times are drawn to a logarithmic scale."""
# The same run gives the same file.
STYLE: Any = {
    "svg.hashsalt": "django_bolt",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(record: Record, report: Path) -> dict[str, str]:
    """Write the plots that the run has numbers for, beside its report; return their files by title."""
    files = {}
    with mpl.rc_context(STYLE):
        for title, names in BARS.items():
            if shown := [name for name in names if record["summary"].get(name)]:
                files[title] = save(bars(record, shown), title, report)
        for title, pattern in GROWTH.items():
            if record["summary"].get(pattern.format(COUNTS[0])):
                files[title] = save(lines(record, pattern), title, report)
    return files


def save(figure: Any, title: str, report: Path) -> str:
    """Write a figure; return the name of its file, which begins with the report's."""
    name = f"{report.stem} {title}".lower().replace(" ", "-") + ".svg"
    figure.savefig(report.with_name(name), metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return name


def bars(record: Record, names: list[str]) -> Any:
    """Draw a panel of bars for each scenario, the best on top, minimum and maximum as whiskers."""
    heights = [0.6 + 0.25 * len(record["summary"][name]) for name in names]
    figure, rows = plt.subplots(
        len(names), 1, figsize=(8, sum(heights) + 0.5 * len(names)), height_ratios=heights, squeeze=False
    )
    for axes, name in zip(rows[:, 0], names, strict=True):
        about = record["scenarios"][name]
        entries = sorted(
            record["summary"][name].items(),
            key=lambda item: item[1]["value"]["median"],
            reverse=not about["more_is_better"],
        )
        values = [entry["value"] for _, entry in entries]
        medians = [value["median"] for value in values]
        whiskers = [[v["median"] - v["min"] for v in values], [v["max"] - v["median"] for v in values]]
        colours = [OWN if server.startswith("bolt") else OTHERS for server, _ in entries]
        axes.barh([server for server, _ in entries], medians, xerr=whiskers, color=colours)
        if max(medians) > WIDE * min(medians) > 0 and not about["more_is_better"]:
            axes.set_xscale("log")  # the shortest bars are the ones that count
        else:
            axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(f"{about['title']} ({about['unit']})", fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
    figure.tight_layout()
    return figure


def lines(record: Record, pattern: str) -> Any:
    """Draw a line for each server over the number of connections."""
    figure, axes = plt.subplots(figsize=(8, 4))
    names = [pattern.format(count) for count in COUNTS]
    servers = {server for name in names for server in record["summary"].get(name, {})}
    for number, server in enumerate(sorted(servers)):
        summaries = [record["summary"].get(name, {}) for name in names]
        points = [
            (count, s[server]["value"]["median"])
            for count, s in zip(COUNTS, summaries, strict=True)
            if server in s
        ]
        own = server.startswith("bolt")
        axes.plot(
            *zip(*points, strict=True),
            marker=MARKERS[number % len(MARKERS)],
            label=server,
            color=OWN if own else plt.get_cmap("tab20")(number),
            linewidth=2.5 if own else 1,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("connections")
    axes.set_ylabel(record["scenarios"][names[0]]["unit"])
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure
