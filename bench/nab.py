#!/usr/bin/env python3
"""The step `anomaly` over the Numenta Anomaly Benchmark, scored by its published rules.

    python3 bench/nab.py [--nab DIR] [--build DIR] [--results DIR]

Every file is scored by build/nab_scores with the default settings, the labelled ones are judged here: with the threshold that is
best for all of them together (as the benchmark's optimiser finds it, one per profile) and with the product's own, 0.5. Writes
bench/results/nab.md and nab.json. DIR is $PENSTOCK_SHARED/data/nab, or ../shared/data/nab beside the checkout.

The rules (Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", 2015). The first 15 % of a file, at most 750
rows, are not judged. In a window only the best-placed detection counts; its worth falls from its first to its last row along a
sigmoid. A window without one costs a miss. A detection outside costs the more the further it is from the window before it, all of
a false alarm from three window lengths on, and where there is none before. The sum is put on a scale on which 0 is a
detector that says nothing and 100 one that finds every window at its first row.
"""
import argparse
import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFAULT_THRESHOLD = 0.5
PROBATION_SHARE, PROBATION_ROWS = 0.15, 750


def worth(position):
    """Of a detection, by its place: -1 is a window's first row, 0 its end, 1 one window length behind it."""
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def rows_of(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["timestamp"][:19] for row in rows], [float(row["anomaly_score"]) for row in rows]


def places(times, windows):
    """(row, position, window or None) of every row that is judged. A window is given as its first and last time."""
    index = {}
    for row, time in enumerate(times):
        index.setdefault(time, row)
    spans = sorted((index[first[:19]], index[last[:19]]) for first, last in windows)
    judged_from = min(math.floor(PROBATION_SHARE * len(times)), PROBATION_ROWS)
    result = []
    for row in range(judged_from, len(times)):
        inside = next((span for span in spans if span[0] <= row <= span[1]), None)
        before = [span for span in spans if span[1] < row]
        if inside:
            length = inside[1] - inside[0] + 1
            result.append((row, -(inside[1] - row + 1) / length, inside))
        elif before:
            first, last = before[-1]
            # Between neighbours of one window of n rows lie n - 1 steps.
            result.append((row, (row - last) / max(1, last - first), None))
        else:
            result.append((row, math.inf, None))
    return result


class Corpus:
    """Everything that is judged, for one profile, in the order of falling scores."""

    def __init__(self, files, weights):
        self.tp, self.fp, self.fn = weights["tpWeight"], weights["fpWeight"], weights["fnWeight"]
        self.windows = sum(len(windows) for _, _, windows in files.values())
        self.points = []
        best = worth(-1.0)
        for name, (times, scores, windows) in files.items():
            for row, position, window in places(times, windows):
                value = worth(position) / best * self.tp if window else worth(position) * self.fp
                self.points.append((scores[row], value, (name, window) if window else None))
        self.points.sort(key=lambda point: -point[0])

    def scaled(self, total):
        nothing = -self.windows * self.fn
        return 100 * (total - nothing) / (self.windows * self.tp - nothing)

    def sweep(self):
        """(threshold, sum, windows found, false rows) for every threshold that makes a difference, from the highest on."""
        found, false, total = {}, 0, -self.windows * self.fn
        yield math.inf, total, 0, 0
        for at, (score, value, window) in enumerate(self.points):
            if window is None:
                total += value
                false += 1
            elif window not in found:
                total += value + self.fn
                found[window] = value
            elif value > found[window]:
                total += value - found[window]
                found[window] = value
            last_of_its_score = at + 1 == len(self.points) or self.points[at + 1][0] != score
            if last_of_its_score:
                yield score, total, len(found), false

    def best(self):
        return max(self.sweep(), key=lambda step: step[1])

    def at(self, threshold):
        return [step for step in self.sweep() if step[0] >= threshold][-1]


def judge(files, profiles):
    result = {}
    for profile, settings in profiles.items():
        corpus = Corpus(files, settings["CostMatrix"])
        result[profile] = {}
        for name, step in (("best", corpus.best()), ("default", corpus.at(DEFAULT_THRESHOLD))):
            threshold, total, found, false = step
            result[profile][name] = {"score": round(corpus.scaled(total), 2), "found": found, "windows": corpus.windows, "false_rows": false,
                                     "threshold": DEFAULT_THRESHOLD if name == "default" else threshold}
    return result


def table(results, reference):
    lines = ["| profile | score at the best threshold | the threshold | windows found | false rows | score at 0.5 | windows found | false rows |",
             "|---|---|---|---|---|---|---|---|"]
    for profile, both in results["all"].items():
        best, own = both["best"], both["default"]
        lines.append(f"| {profile} | {best['score']} | {best['threshold']:.4f} | {best['found']} of {best['windows']} | {best['false_rows']} "
                     f"| **{own['score']}** | {own['found']} of {own['windows']} | {own['false_rows']} |")
    lines += ["", "Standard profile by family, at 0.5 for all:", "", "| family | score | windows found | false rows |", "|---|---|---|---|"]
    for family, profiles in results["families"].items():
        own = profiles["standard"]["default"]
        score = f"{own['score']}" if own["windows"] else "–"
        lines.append(f"| {family} | {score} | {own['found']} of {own['windows']} | {own['false_rows']} |")
    if reference:
        lines += ["", "For orientation only, published scores of others, standard profile, over all 58 files with the best threshold each: "
                  + ", ".join(f"{name} {entry['all']['standard']}" for name, entry in
                              sorted(reference.items(), key=lambda item: -item[1]["all"]["standard"]) if entry["all"]["standard"] > 0)
                  + ". They are not of the same files as ours."]
    return lines


def main():
    shared = pathlib.Path(os.environ.get("PENSTOCK_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nab", type=pathlib.Path, default=shared / "data" / "nab")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(os.environ.get("PENSTOCK_BUILD_DIR", ROOT / "build")))
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    if not (options.nab / "data").is_dir():
        print(f"nab: skipped, no series in {options.nab}; set PENSTOCK_SHARED or --nab")
        return 0
    labels = json.loads((options.nab / "labels" / "dev_windows.json").read_text())
    profiles = json.loads((options.nab / "config" / "profiles.json").read_text())
    published = options.nab / "reference_scores.json"
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run([options.build / "nab_scores", options.nab / "data", folder], check=True, capture_output=True, text=True)
        files = {name: (*rows_of(pathlib.Path(folder) / name), windows) for name, windows in labels.items()}
    families = sorted({name.split("/")[0] for name in files})
    results = {"all": judge(files, profiles),
               "families": {family: judge({n: f for n, f in files.items() if n.startswith(family + "/")}, {"standard": profiles["standard"]})
                            for family in families if any(f[2] for n, f in files.items() if n.startswith(family + "/"))}}
    quiet = [family for family in families if family not in results["families"]]
    rows = sum(len(f[0]) for f in files.values())
    text = ["# Anomalies of the Numenta Anomaly Benchmark", "",
            "`python3 bench/nab.py`: the step `anomaly` with its default settings, the same for every file, judged by the benchmark's",
            f"published rules on its {len(files)} labelled files ({rows:,} rows; scored were {told.stdout.strip()}).", ""]
    text += table(results, json.loads(published.read_text()) if published.exists() else {})
    if quiet:
        text += ["", f"Without any window, their alarms are in the first table only: {', '.join(quiet)}."]
    text += ["", "The constants of the detector were chosen looking at these same labels (see the step's README), so the figures are optimistic",
             "for series nobody has seen."]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "nab.md").write_text("\n".join(text) + "\n")
    (options.results / "nab.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
