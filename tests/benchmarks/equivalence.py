"""Tests whether learning is the same in two engines: fused against torch, seed by seed, over whole runs.

Each run's figure is the mean return over its 20,000 training steps of CartPole-v1, every step counting the episode that
it was part of. Two engines count as equivalent where the 90 % interval of the difference of their means (Welch) lies
within ±MARGIN: two one-sided tests at 5 % (Schuirmann 1987). The margin was fixed before anything was run.

    python tests/benchmarks/equivalence.py --jobs 2 equivalence.csv

Runs that the CSV holds already are not made again.
"""

import argparse
import csv
import multiprocessing
import os
from pathlib import Path

MARGIN = 25.0  # of return: a twentieth of the largest
SEEDS = range(30)
STEPS = 20_000
COMPOSITIONS = {
    "default": [],
    "tutorial": ["experiment=tutorial"],
    "double, huber, n_step=3, polyak": [
        "network=mlp64", "bootstrap=double", "value=huber", "buffer.n_step=3", "target=polyak", "exploration=linear",
        "optimizer.max_grad_norm=10",
    ],
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


def run(job):
    """Trains once; returns the job and its figure."""
    from dqn_lab.build import build, validate
    from dqn_lab.cli import _compose
    from dqn_lab.train import train

    name, engine, seed = job
    budget = ["episodes=null", f"steps={STEPS}", "evaluation.interval=null", "logger=csv"]
    with _compose.composer():
        config = _compose.compose_config([*COMPOSITIONS[name], *budget, f"engine={engine}", f"seed={seed}"])
    returns, experiment = Returns(), build(validate(_compose.plain(config)))
    train(experiment.rollout, experiment.due, returns)
    return job, returns.total / max(returns.steps, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    figures = {}
    if args.csv.exists():
        with args.csv.open(newline="", encoding="utf-8") as file:
            figures = {(name, engine, int(seed)): float(figure) for name, engine, seed, figure in csv.reader(file)}
    missing = [
        job for seed in SEEDS for name in COMPOSITIONS for engine in ("fused", "torch")
        if (job := (name, engine, seed)) not in figures
    ]  # fmt: skip
    with args.csv.open("a", newline="", encoding="utf-8") as file, multiprocessing.Pool(args.jobs) as pool:
        for job, figure in pool.imap_unordered(run, missing):
            csv.writer(file).writerow([*job, figure])
            file.flush()
            figures[job] = figure
    print_table(figures)


def print_table(figures):
    from scipy import stats

    print(f"\n{'composition':<34} {'fused':>7} {'torch':>7} {'difference, 90 % interval':>28}  within ±{MARGIN:g}")
    for name in COMPOSITIONS:
        fused, torch = ([figures[name, engine, seed] for seed in SEEDS] for engine in ("fused", "torch"))
        interval = stats.ttest_ind(fused, torch, equal_var=False).confidence_interval(0.9)
        means = [sum(values) / len(values) for values in (fused, torch)]
        verdict = "equivalent" if max(map(abs, interval)) < MARGIN else "undecided"
        shown = f"{means[0] - means[1]:+.1f} ({interval.low:+.1f} to {interval.high:+.1f})"
        print(f"{name:<34} {means[0]:>7.1f} {means[1]:>7.1f} {shown:>28}  {verdict}")


if __name__ == "__main__":
    main()
