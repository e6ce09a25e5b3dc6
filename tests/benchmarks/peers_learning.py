"""Tests whether dqn_lab, with other people's settings, learns as well as their own algorithm on this machine.

Stable-Baselines3 trains with rl-baselines3-zoo's settings (`sb3_zoo.py`), CleanRL's algorithm with its own
(`cleanrl_dqn.py`, `cleanrl_c51.py`), and dqn_lab with the recipe of the same name in `conf/experiment/published/`.
Runs are compared in three measures: the final policy's mean return over 100 greedy episodes, the mean return of the
last 100 training episodes, and the mean return over all training steps, where every step counts its episode's return.
Two sides are equivalent in a measure if the 90 % interval of the difference of means (Welch) lies within a twentieth of
the task's range of returns (25 on CartPole), a margin fixed beforehand: two one-sided tests at 5 % (Schuirmann 1987).
They are different if it lies entirely outside the margin.

    python tests/benchmarks/peers_learning.py --run --peer-python PYTHON_WITH_SB3 --jobs 2

Every run is a separate process with one thread, and adds a row to the CSV when it ends; re-run the command to continue.
Without `--run` only the table is printed.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from multiprocessing.pool import ThreadPool
from pathlib import Path

import _peers

HERE = Path(__file__).parent
DATA = HERE.parent / "data" / "peers_learning.csv"
PROGRAMS = {"zoo_dqn": "sb3_zoo.py", "zoo_qrdqn": "sb3_zoo.py", "cleanrl_dqn": "cleanrl_dqn.py",
            "cleanrl_c51": "cleanrl_c51.py"}  # fmt: skip
DEFAULTS = ["zoo_dqn/cartpole", "cleanrl_dqn/cartpole"]
MARGINS = {"cartpole": 25.0, "acrobot": 25.0, "mountain_car": 10.0}
RECIPES = [f"{source}/{task}" for source in PROGRAMS for task in MARGINS]
SIDES = "dqn_lab", "peer"
FIGURES = {"final": "final policy", "last_100": "last 100 episodes", "training": "all training steps"}


def run(recipe, side, seed, python, steps=None):
    """Trains once in a separate process; returns the measures."""
    short = [] if steps is None else [str(steps)]
    if side == "dqn_lab":
        return run_lab(recipe, seed, steps)
    source, task = recipe.split("/")
    if source.startswith("cleanrl"):
        python, recipe = sys.executable, task
    return json.loads(call([python, str(HERE / PROGRAMS[source]), recipe, str(seed), *short]).splitlines()[-1])


def run_lab(recipe, seed, steps=None):
    with tempfile.TemporaryDirectory() as directory:
        words = [
            f"experiment=published/{recipe}",
            f"seed={seed}",
            "logger=csv",
            "display=none",
            "evaluation.interval=null",
        ]
        words += [] if steps is None else [f"steps={steps}"]
        call([sys.executable, "-m", "dqn_lab", "train", *words, f"hydra.run.dir={directory}/run"])
        record = json.loads(Path(directory, "run", "run.json").read_text(encoding="utf-8"))
        with Path(directory, "run", "episodes.csv").open(newline="", encoding="utf-8") as file:
            rows = [(float(row["return"]), int(row["length"])) for row in csv.DictReader(file)]
    returns, lengths = zip(*rows, strict=True)
    return _peers.figures(returns, lengths, record["scores"]["final"]["return_mean"])


def call(words):
    """Runs a program with one thread; returns what it prints."""
    found = subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, text=True, capture_output=True
    )
    if found.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {found.returncode}\n{found.stderr[-2000:]}")
    return found.stdout


def read(path):
    """Returns the measures of every run in the CSV, by recipe, side and seed."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3 + len(FIGURES)]  # a last line may be half written
    return {
        (recipe, side, int(seed)): dict(zip(FIGURES, map(float, found), strict=True))
        for recipe, side, seed, *found in rows
    }


def train(jobs, path, python, num_processes):
    """Makes the runs that the CSV does not contain yet."""
    known = read(path)
    missing = [job for job in jobs if job not in known]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file, ThreadPool(num_processes) as pool:
        done = pool.imap_unordered(lambda job: (job, run(*job, python)), missing)
        for number, (job, found) in enumerate(done, start=1):
            csv.writer(file, lineterminator="\n").writerow([*job, *(round(found[name], 4) for name in FIGURES)])
            file.flush()
            print(f"{number} of {len(missing)}: {' '.join(map(str, job))} {found}", file=sys.stderr)


def table(runs):
    """Returns the table in Markdown, for the seeds that both sides have."""
    recipes = [recipe for recipe in RECIPES if recipe in DEFAULTS or any(key[0] == recipe for key in runs)]
    lines = ["| recipe | measure | seeds | dqn_lab | peer | difference, 90 % interval | verdict |", "|---" * 7 + "|"]
    for recipe in recipes:
        seeds = [seed for side, seed in {(key[1], key[2]) for key in runs if key[0] == recipe} if side == SIDES[0]]
        seeds = sorted(seed for seed in seeds if (recipe, SIDES[1], seed) in runs)
        if len(seeds) < 2:
            lines.append(f"| `{recipe}` | | {len(seeds)} | | | | not run |")
            continue
        for figure, words in FIGURES.items():
            ours, theirs = ([runs[recipe, side, seed][figure] for seed in seeds] for side in SIDES)
            difference, low, high = difference_of(ours, theirs)
            means = " | ".join(f"{sum(values) / len(values):.1f}".replace("-", "−") for values in (ours, theirs))
            shown = f"{difference:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "−")
            said = verdict(low, high, MARGINS[recipe.split("/")[1]])
            lines.append(f"| `{recipe}` | {words} | {len(seeds)} | {means} | {shown} | {said} |")
    return "\n".join(lines)


def difference_of(ours, theirs):
    """Returns the difference of the means, and its 90 % interval."""
    from scipy import stats

    difference = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    if min(ours) == max(ours) and min(theirs) == max(theirs):
        return difference, difference, difference
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.9)
    return difference, float(interval.low), float(interval.high)


def verdict(low, high, margin):
    """Says whether a difference lies within a margin."""
    if -margin < low and high < margin:
        return f"equivalent within ±{margin:g}"
    return f"different by more than {margin:g}" if low > margin or high < -margin else f"undecided within ±{margin:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", default=DATA)
    parser.add_argument("--run", action="store_true", help="train what is missing first")
    parser.add_argument("--peer-python", default=sys.executable, help="has Stable-Baselines3 and sb3-contrib")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", nargs=2, type=int, default=(1000, 1030), metavar=("FIRST", "END"))
    defaults = ["zoo_dqn/cartpole", "cleanrl_dqn/cartpole"]
    parser.add_argument(
        "--only", nargs="+", choices=RECIPES, default=defaults, metavar="RECIPE", help=", ".join(RECIPES)
    )
    args = parser.parse_args()
    if args.run:
        jobs = [(recipe, side, seed) for recipe in args.only for seed in range(*args.seeds) for side in SIDES]
        train(jobs, args.csv, args.peer_python, args.jobs)
    print(table(read(args.csv)))


if __name__ == "__main__":
    main()
