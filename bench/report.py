"""Rounds into a table: medians with their spread, and ratios taken within each round."""

import json
import os
import pathlib
import platform
import statistics
import time

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def series(rounds, who, metric):
    return [r[who][metric] for r in rounds if metric in r.get(who, {})]


def table(rounds, subjects, metrics, base, without_ratio=()):
    """One row per metric, one column per subject, and the ratio of every other subject to `base`, round by round."""
    others = [who for who in subjects if who != base]
    lines = ["| metric | " + " | ".join(subjects) + " | " + " | ".join(f"{who} / {base}" for who in others) + " |",
             "|---" * (1 + len(subjects) + len(others)) + "|"]
    for metric, digits, label in metrics:
        cells = []
        for who in subjects:
            values = series(rounds, who, metric)
            cells.append(spread(values, digits) if values else "–")
        for who in others:
            pairs = [(r[who][metric], r[base][metric]) for r in rounds if metric in r.get(who, {}) and metric in r.get(base, {})]
            ratios = [a / b for a, b in pairs if a > 0 and b > 0 and metric not in without_ratio]
            cells.append("**" + spread(ratios, 2) + "**" if ratios else "–")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Linux {platform.release()}, load average before the run {os.getloadavg()[0]:.1f}"


def write(name, title, notes, rounds, text, host, **more):
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(
        {"bench": name, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": host, "notes": notes, **more, "rounds": rounds}, indent=1) + "\n")
    page = f"# {title}\n\n{text}\n\nMedian of {len(rounds)} rounds (smallest..largest). " + " ".join(notes) + f"\n\nMachine: {host}.\n"
    (RESULTS / f"{name}.md").write_text(page)
    print(page)
