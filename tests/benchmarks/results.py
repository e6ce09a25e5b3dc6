"""Prints a table of the final scores of sweeps and grids, one row per variant; draws learning curves if asked.

    python tests/benchmarks/results.py outputs/sweeps/cartpole outputs/sweeps/default --figure curve.png
    python tests/benchmarks/results.py recipes recipes_acrobot

The first command names directories; the second, questions whose results are included with the lab. A run succeeds if
the final policy's mean greedy return is at least `--threshold`, by default the one at which its task counts as solved.
"""

import argparse
from pathlib import Path

from _published_verdicts import plain

from dqn_lab.analysis import AnalysisError, load_configs, load_runs, load_shipped, summarize
from dqn_lab.tasks import find_task

MOST_NOTED = 20
COLUMNS = (
    "task", "recipe", "runs", "mean steps", "mean return", "95 % interval", "median", "10th percentile", "successes",
    "success rate, 95 % interval",
)  # fmt: skip


def summaries(directory, threshold):
    """Returns a sweep's rows, one per variant or one named after the sweep, and the runs that missed the threshold."""
    configs = load_configs(directory) if directory.is_dir() else load_shipped(str(directory))
    if configs["variant"].nunique() == 1:
        configs["variant"] = directory.name
    for row in summarize(configs, by=["task", "variant"], threshold=threshold).to_dict("records"):
        runs = configs[(configs["variant"] == row["variant"]) & (configs["task"] == row["task"])]
        goal = find_threshold(row["task"]) if threshold is None else threshold
        yield row, runs["final_step"].mean(), goal, runs[runs["final_return"] < goal].sort_values("final_return")


def find_threshold(task):
    """Returns the lowest return that counts as a success."""
    found = find_task(task)
    if found is None or found.threshold is None:
        raise AnalysisError(f"{task}: nothing is known of what counts as a success there; say --threshold")
    return found.threshold


def table(directories, threshold):
    """Writes a row for each sweep or variant, and, if they are few, the runs that missed the threshold."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    notes = []
    for row, steps, goal, missed in (found for directory in directories for found in summaries(directory, threshold)):
        mean, low, high, median, p10 = (plain(row[name]) for name in ("mean", "mean_low", "mean_high", "median", "p10"))
        lines.append(
            f"| {row['task']} | {row['variant']} | {row['seeds']} | {steps:,.0f} | {mean} | {low} to {high} "
            f"| {median} | {p10} | {row['successes']} of {row['seeds']} at {plain(goal, 0)} "
            f"| {row['success_low']:.2f}–{row['success_high']:.2f} |"
        )
        if 0 < len(missed) <= MOST_NOTED:
            scores = zip(missed["seed"], missed["final_return"], strict=True)
            seeds = ", ".join(f"{seed} ({plain(score)})" for seed, score in scores)
            notes.append(f"- {row['task']}, {row['variant']}, seeds that missed: {seeds}")
    return "\n".join([*lines, "", *notes])


def draw(directory, path, threshold):
    """Draws each run's greedy evaluations, their mean, and the threshold."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), dpi=150, layout="constrained")
    found = load_runs(directory, table="evaluations")
    threshold = find_threshold(found["task"].iloc[0]) if threshold is None else threshold
    runs = found.pivot(index="step", columns="seed", values="return_mean")
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
    parser.add_argument("--threshold", type=float, help="the lowest return of a success (default: the task's)")
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
