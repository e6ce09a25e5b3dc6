"""Prints a table of multiruns' final scores, and draws learning curves if asked.

    python tests/benchmarks/results.py outputs/sweeps/cartpole outputs/sweeps/default --figure curve.png

A run succeeds where the final policy's greedy mean is at least `--threshold`.
"""

import argparse
from pathlib import Path

from dqn_lab.analysis import AnalysisError, load_configs, load_runs, summarize


def summary(directory, threshold):
    """Writes a sweep's row of the table in Markdown, and its misses."""
    configs = load_configs(directory)
    (row,) = summarize(configs.assign(sweep=directory.name), by="sweep", threshold=threshold).to_dict("records")
    line = (
        f"| {row['sweep']} | {row['seeds']} | {configs['final_step'].mean():,.0f} | {row['mean']:.1f} "
        f"| {row['mean_low']:.1f}–{row['mean_high']:.1f} | {row['median']:.1f} | {row['p10']:.1f} "
        f"| {row['successes']} of {row['seeds']} | {row['success_low']:.2f}–{row['success_high']:.2f} |"
    )
    missed = configs[configs["final_return"] < threshold].sort_values("final_return")
    return line, ", ".join(
        f"{seed}: {score:.1f}" for seed, score in zip(missed["seed"], missed["final_return"], strict=True)
    )


def table(directories, threshold):
    """Writes a row for each sweep, and the runs that missed the threshold where they are few."""
    success = f"≥ {threshold:g}"
    columns = ("sweep", "runs", "steps, mean", "mean", "95 %", "median", "10th percentile", success, "Wilson 95 %")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    notes = []
    for directory in directories:
        line, missed = summary(directory, threshold)
        lines.append(line)
        if 0 < missed.count(":") <= 20:
            notes.append(f"{directory.name} missed: {missed}")
    return "\n".join([*lines, "", *notes])


def draw(directory, path, threshold):
    """Draws each run's greedy evaluations, their mean, and the threshold."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), dpi=150, layout="constrained")
    runs = load_runs(directory, table="evaluations").pivot(index="step", columns="seed", values="return_mean")
    for number, (_, curve) in enumerate(runs.items()):
        curve = curve.dropna()
        axes.plot(curve.index, curve, color="#0072b2", alpha=0.3, linewidth=1, label="one seed" if not number else None)
    mean = runs.dropna().mean(axis=1)
    axes.plot(mean.index, mean, color="#d55e00", linewidth=2.5, label=f"mean of {runs.shape[1]} seeds")
    axes.axhline(threshold, color="0.4", linestyle=":", linewidth=1)
    place = {"xytext": (0, -4), "textcoords": "offset points", "ha": "right", "va": "top"}
    axes.annotate(f"solved: {threshold:g}", (mean.index[-1], threshold), color="0.3", **place)
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
    try:
        print(table(args.directory, args.threshold))
    except AnalysisError as error:
        parser.error(str(error))
    if args.figure:
        draw(args.directory[0], args.figure, args.threshold)


if __name__ == "__main__":
    main()
