"""Prints a table of multiruns' final scores from their CSV files, and draws learning curves if asked.

    python tests/benchmarks/results.py outputs/sweeps/cartpole outputs/sweeps/default --figure curve.png

A run succeeds where the final policy's greedy mean, the last row of `evaluations.csv`, is at least `--threshold`.
"""

import argparse
import json
import math
from pathlib import Path

import pandas


def wilson(successes, number, z=1.96):
    """Wilson's 95 % interval of a success rate (Wilson 1927)."""
    rate, weight = successes / number, z * z / number
    middle = (rate + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(rate * (1 - rate) / number + weight / (4 * number))
    return middle - half, middle + half


def load(directory):
    """Reads every run below `directory`: its seed, its evaluations, and what its record says."""
    runs = []
    for path in sorted(directory.rglob("run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        runs.append((record["seed"], pandas.read_csv(path.parent / "evaluations.csv"), record))
    return sorted(runs, key=lambda run: run[0])


def summary(name, runs, threshold):
    """Writes a sweep's row of the table in Markdown, and its misses."""
    means = pandas.Series({seed: evaluations.iloc[-1]["return_mean"] for seed, evaluations, _ in runs})
    steps = pandas.Series([evaluations.iloc[-1]["step"] for _, evaluations, _ in runs])
    successes = int((means >= threshold).sum())
    low, high = wilson(successes, len(means))
    row = (
        f"| {name} | {len(means)} | {steps.mean():,.0f} | {means.mean():.1f} | {means.median():.1f} | "
        f"{means.quantile(0.1):.1f} | {successes} of {len(means)} | {low:.2f}–{high:.2f} |"
    )
    missed = means[means < threshold].sort_values()
    return row, ", ".join(f"{seed}: {mean:.1f}" for seed, mean in missed.items())


def table(sweeps, threshold):
    """Writes a row for each sweep, and the runs that missed the threshold where they are few."""
    columns = ("sweep", "runs", "steps, mean", "mean", "median", "10th percentile", f"≥ {threshold:g}", "Wilson 95 %")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    notes = []
    for name, runs in sweeps.items():
        row, missed = summary(name, runs, threshold)
        lines.append(row)
        if 0 < missed.count(":") <= 20:
            notes.append(f"{name} missed: {missed}")
    return "\n".join([*lines, "", *notes])


def draw(runs, path, threshold):
    """Draws each run's greedy evaluations, their mean, and the threshold."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), dpi=150, layout="constrained")
    curves = [evaluations.set_index("step")["return_mean"] for _, evaluations, _ in runs]
    for number, curve in enumerate(curves):
        axes.plot(curve.index, curve, color="#0072b2", alpha=0.3, linewidth=1, label="one seed" if not number else None)
    steps = sorted(set.intersection(*(set(curve.index) for curve in curves)))
    mean = pandas.concat(curves, axis=1).loc[steps].mean(axis=1)
    axes.plot(mean.index, mean, color="#d55e00", linewidth=2.5, label=f"mean of {len(runs)} seeds")
    axes.axhline(threshold, color="0.4", linestyle=":", linewidth=1)
    place = {"xytext": (0, -4), "textcoords": "offset points", "ha": "right", "va": "top"}
    axes.annotate(f"solved: {threshold:g}", (steps[-1], threshold), color="0.3", **place)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("greedy return")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="+")
    parser.add_argument("--threshold", type=float, default=475)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="of the first directory's learning curves")
    args = parser.parse_args()
    sweeps = {directory.name: load(directory) for directory in args.directory}
    for name, runs in sweeps.items():
        if not runs:
            parser.error(f"{name}: no runs here")
    print(table(sweeps, args.threshold))
    if args.figure:
        draw(next(iter(sweeps.values())), args.figure, args.threshold)


if __name__ == "__main__":
    main()
