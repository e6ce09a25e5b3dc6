"""Tests whether learning is the same in two engines, or in two rollouts, over whole runs of many seeds.

The measure of a run is the mean return over its 20,000 training steps on CartPole-v1, where every step counts the
return of its episode. The two sides count as equivalent if the 90 % interval of the difference of their means (Welch)
lies within a margin: two one-sided tests at 5 % (Schuirmann 1987). The margins, in units of return (at most 500), were
fixed before anything was run. If both rollouts are correct, they have the same value for each seed.

    python tests/benchmarks/equivalence.py --jobs 2 equivalence.csv

Runs that the CSV already contains are not repeated.
"""

import argparse
import csv
import multiprocessing
import os
from pathlib import Path
from typing import NamedTuple

STEPS = 20_000
GYMNASIUM = ["rollout=python", "env.implementation=gymnasium"]


class Comparison(NamedTuple):
    """A composition, run in two ways."""

    composition: list
    sides: dict  # overrides by name
    num_seeds: int = 30
    margin: float = 25.0


ENGINES = {"fused": ["engine=fused"], "torch": ["engine=torch"]}
COMPARISONS = {
    "default": Comparison([], ENGINES),
    "tutorial": Comparison(["experiment=tutorial"], ENGINES),
    "double, huber, n_step=3, polyak": Comparison([
        "network=mlp64", "bootstrap=double", "value=huber", "buffer.n_step=3", "target=polyak", "exploration=linear",
        "optimizer.max_grad_norm=10",
    ], ENGINES),
    "default, rollouts": Comparison([], {"compiled": ["rollout=compiled"], "python": GYMNASIUM}, 100, 15.0),
}  # fmt: skip


class Returns:
    """The observer that keeps every episode's return and length."""

    def __init__(self):
        self.total, self.steps = 0.0, 0

    def stride(self, stride):
        for row in stride.episodes:
            self.total += row["return"] * row["length"]  # weighted by length: the mean over steps
            self.steps += row["length"]

    def evaluate(self, progress):
        pass

    def save(self, progress):
        pass


def run(job):
    """Trains once; returns the job and its measure."""
    from dqn_lab.build import build, validate
    from dqn_lab.cli import _compose
    from dqn_lab.train import train

    name, side, seed = job
    comparison, budget = COMPARISONS[name], ["episodes=null", f"steps={STEPS}", "evaluation.interval=null"]
    overrides = [*comparison.composition, *comparison.sides[side], *budget, "logger=csv", f"seed={seed}"]
    with _compose.composer():
        config = _compose.compose_config(overrides)
    returns, experiment = Returns(), build(validate(_compose.plain(config)))
    train(experiment.rollout, experiment.due, returns)
    return job, returns.total / max(returns.steps, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=[*COMPARISONS])
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    figures = {}
    if args.csv.exists():
        with args.csv.open(newline="", encoding="utf-8") as file:
            figures = {(name, side, int(seed)): float(figure) for name, side, seed, figure in csv.reader(file)}
    chosen = {name: COMPARISONS[name] for name in args.only}
    missing = [
        job for name, comparison in chosen.items() for seed in range(comparison.num_seeds) for side in comparison.sides
        if (job := (name, side, seed)) not in figures
    ]  # fmt: skip
    with args.csv.open("a", newline="", encoding="utf-8") as file, multiprocessing.Pool(args.jobs) as pool:
        for job, figure in pool.imap_unordered(run, missing):
            csv.writer(file).writerow([*job, figure])
            file.flush()
            figures[job] = figure
    print_table(figures, chosen)


def print_table(figures, chosen):
    from scipy import stats

    print(f"\n{'composition':<34} {'sides':>20} {'means':>15} {'difference, 90 % interval':>28}  verdict")
    for name, (_, sides, num_seeds, margin) in chosen.items():
        one, other = ([figures[name, side, seed] for seed in range(num_seeds)] for side in sides)
        interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
        means = [sum(values) / num_seeds for values in (one, other)]
        verdict = "equivalent" if max(map(abs, interval)) < margin else "undecided"
        equal = sum(first == second for first, second in zip(one, other, strict=True))
        shown = f"{means[0] - means[1]:+.1f} ({interval.low:+.1f} to {interval.high:+.1f})"
        print(
            f"{name:<34} {' / '.join(sides):>20} {means[0]:>7.1f} {means[1]:>7.1f} {shown:>28}  {verdict} within "
            f"±{margin:g}; {equal} of {num_seeds} seeds equal"
        )


if __name__ == "__main__":
    main()
