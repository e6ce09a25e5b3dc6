"""Prints a table of a multirun's final scores from its CSV files, and draws its learning curves if asked.

    python tests/benchmarks/results.py outputs/sweeps/cartpole --figure curve.png

A run succeeds where the final policy's greedy mean, the last row of `evaluations.csv`, is at least `--threshold`.
The figure needs matplotlib: `pip install -e ".[plot]"`.
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


def table(runs, threshold):
    """Writes the table in Markdown."""
    lines = ["| seed | environment steps | final policy, greedy mean ± std | lowest episode |", "|---|---|---|---|"]
    means = []
    for seed, evaluations, _ in runs:
        last = evaluations.iloc[-1]
        means.append(last["return_mean"])
        score = f"{last['return_mean']:.1f} ± {last['return_std']:.1f}"
        lines.append(f"| {seed} | {int(last['step']):,} | {score} | {last['return_min']:.0f} |")
    successes = sum(mean >= threshold for mean in means)
    low, high = wilson(successes, len(means))
    lines += [
        "",
        f"{successes} of {len(means)} runs reach {threshold:g} (95 % Wilson interval {low:.2f}–{high:.2f}); "
        f"mean {sum(means) / len(means):.1f}; each score is over {int(runs[0][1].iloc[-1]['episodes'])} episodes.",
    ]
    return "\n".join(lines)


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
    axes.annotate(
        f"solved: {threshold:g}", (steps[0], threshold), xytext=(0, 4), textcoords="offset points", color="0.3"
    )
    axes.set_xlabel("environment steps")
    axes.set_ylabel("greedy return")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--threshold", type=float, default=475)
    parser.add_argument("--figure", type=Path, metavar="FILE")
    args = parser.parse_args()
    runs = load(args.directory)
    if not runs:
        parser.error(f"{args.directory}: no runs here")
    print(table(runs, args.threshold))
    if args.figure:
        draw(runs, args.figure, args.threshold)


if __name__ == "__main__":
    main()
