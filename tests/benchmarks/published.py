"""Trains with other people's settings, `conf/experiment/published/`, and compares the results with their numbers.

    python tests/benchmarks/published.py --run --only zoo_dqn/cartpole --seeds 1000 1030
    python tests/benchmarks/published.py

The first command trains what is missing, one sweep per recipe, each in its own directory under `--dir`; re-run it to
continue. Then it writes every completed run found there into `tests/data/published.csv`. Both commands print that
file's table for `tests/README.md`. `_published_verdicts.py` says which interval decides each verdict.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import _published_verdicts as verdicts
import pandas as pd
from _published_verdicts import plain

from dqn_lab.analysis import load_configs, load_runs, summarize
from dqn_lab.tasks import TASKS

DATA = Path(__file__).parents[1] / "data" / "published.csv"
COLUMNS = ["recipe", "seed", "final_return", "last_100", "moving_average", "versions"]
VERSIONS = "dqn_lab", "torch", "gymnasium"
TASK = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountain_car": "MountainCar-v0",
        "lunar_lander": "LunarLander-v3"}  # fmt: skip
CHECKPOINT, WINDOW = 1_000, 100  # SLM-Lab's: frames between checkpoints, and how many are averaged
FEWEST = 5  # runs needed for a verdict


def with_spread(number):
    """Writes a mean and its standard deviation in the authors' format."""
    return f"{plain(number.mean, 2)} ± {number.std:.2f}"


class Seeds(NamedTuple):
    """CleanRL: mean ± standard deviation over seeds of the mean return of a run's last 100 training episodes."""

    mean: float
    std: float
    num_seeds: int = 3
    metric = "last_100"

    __str__ = with_spread

    def about(self):
        return f"last 100 training episodes, mean ± std of {self.num_seeds} seeds"

    def verdict(self, ours, bounds):
        return verdicts.of_seeds(ours, self.mean, self.std, self.num_seeds, (bounds[1] - bounds[0]) / 20)


class OneRun(NamedTuple):
    """rl-baselines3-zoo: mean ± standard deviation over the episodes of one final policy, played greedily."""

    mean: float
    std: float
    num_episodes: int
    metric = "final_return"

    __str__ = with_spread

    def about(self):
        return f"one run's final policy, greedy, mean ± std of {self.num_episodes:,} episodes"

    def verdict(self, ours, bounds):
        return verdicts.of_one_run(ours, self.mean)


class LastEpisodes(NamedTuple):
    """rl-baselines3-zoo: mean of the last 100 training episodes of the same run, read from its monitor file."""

    mean: float
    metric = "last_100"

    def __str__(self):
        return plain(self.mean, 2)

    def about(self):
        return "the same run's last 100 training episodes"

    def verdict(self, ours, bounds):
        return verdicts.of_one_run(ours, self.mean)


class Sessions(NamedTuple):
    """SLM-Lab: mean over sessions of a moving average of training returns, whose spread is not published."""

    mean: float
    num_sessions: int = 4
    metric = "moving_average"

    def __str__(self):
        return plain(self.mean, 2)

    def about(self):
        return f"“MA”: training returns of the last 100,000 frames, mean of {self.num_sessions} sessions"

    def verdict(self, ours, bounds):
        return verdicts.of_sessions(ours, self.mean, self.num_sessions)


THEIRS = {
    "cleanrl_dqn/cartpole": [Seeds(488.69, 16.11)],
    "cleanrl_dqn/acrobot": [Seeds(-91.54, 7.20)],
    "cleanrl_dqn/mountain_car": [Seeds(-194.95, 8.48)],
    "cleanrl_c51/cartpole": [Seeds(481.20, 20.53)],
    "cleanrl_c51/acrobot": [Seeds(-87.70, 5.52)],
    "cleanrl_c51/mountain_car": [Seeds(-166.38, 27.94)],
    "zoo_dqn/cartpole": [OneRun(500.0, 0.0, 300), LastEpisodes(158.39)],
    "zoo_dqn/acrobot": [OneRun(-76.639, 11.752, 1_932), LastEpisodes(-82.74)],
    "zoo_dqn/mountain_car": [OneRun(-100.849, 9.925, 1_487), LastEpisodes(-115.42)],
    "zoo_dqn_2021/mountain_car": [OneRun(-100.849, 9.925, 1_487), LastEpisodes(-115.42)],
    "zoo_qrdqn/cartpole": [OneRun(500.0, 0.0, 300), LastEpisodes(326.40)],
    "zoo_qrdqn/acrobot": [OneRun(-69.135, 9.967, 2_138), LastEpisodes(-81.84)],
    "zoo_qrdqn/mountain_car": [OneRun(-106.042, 15.536, 1_414), LastEpisodes(-135.24)],
    "slm_dqn/lunar_lander": [Sessions(195.21)],
    "slm_ddqn_per/lunar_lander": [Sessions(265.90)],
}


def train(recipe, directory, seeds, jobs):
    """Trains a recipe with the seeds that are missing; ends the program if the sweep was refused or interrupted."""
    question = directory.with_name(f"{directory.name}.yaml")
    question.parent.mkdir(parents=True, exist_ok=True)
    question.write_text(question_of(recipe), encoding="utf-8")
    words = [str(question), f"seed=range({seeds[0]},{seeds[1]})", "--dir", str(directory)]
    workers = [] if jobs is None else [f"hydra.launcher.n_jobs={jobs}"]
    code = subprocess.run([sys.executable, "-m", "dqn_lab", "sweep", *words, *workers], check=False).returncode
    if code not in (0, 1):  # 1: some runs failed; the others count
        sys.exit(code)


def question_of(recipe):
    """Returns the file of a sweep with one variant, the recipe."""
    metric = "final_return" if THEIRS[recipe][0].metric == "final_return" else "last_100"
    return (
        f"question: What does {recipe} reach with its authors' settings?\n"
        f"variants: {{{recipe}: [experiment=published/{recipe}, logger=csv]}}\n"
        f"control: {recipe}\nmetric: {metric}\n"
    )


def collect(recipe, directory):
    """Returns a row for every completed run in a sweep's directory."""
    runs = load_configs(directory)
    runs = runs[runs["status"] == "completed"]
    rows = runs.to_dict("records")
    averages = {}
    if THEIRS[recipe][0].metric == "moving_average":
        episodes = load_runs(directory, table="episodes").groupby("run", observed=True)
        averages = {run: moving_average(rows["step"], rows["return"]) for run, rows in episodes}
    return pd.DataFrame(
        {
            "recipe": recipe,
            "seed": runs["seed"].astype(int),
            "final_return": runs["final_return"].round(2),
            "last_100": runs["last_100"].round(2),
            "moving_average": [round(averages.get(run, float("nan")), 2) for run in runs["run"]],
            "versions": [", ".join(f"{name} {row[f'versions.{name}']}" for name in VERSIONS) for row in rows],
        },
        columns=COLUMNS,
    )


def moving_average(steps, returns):
    """Returns SLM-Lab's "MA": the latest episode's return at each of the last hundred checkpoints, averaged.

    Theirs takes the mean over eight environments of the latest episode of each; the lab has one environment.

    Args:
        steps: when each episode ended.
        returns: of each episode.
    """
    steps, returns = steps.to_numpy(), returns.to_numpy()
    last = -(-int(steps[-1]) // CHECKPOINT)  # the run's last checkpoint: its last episode is cut off by the budget
    latest = [steps.searchsorted(number * CHECKPOINT, "right") - 1 for number in range(1, last + 1)]
    values = [returns[episode] for episode in latest if episode >= 0][-WINDOW:]
    return sum(values) / len(values)


def read():
    """Reads the runs included with the lab, if any."""
    return pd.read_csv(DATA) if DATA.exists() else pd.DataFrame(columns=COLUMNS)


def write(runs):
    """Adds runs to those included with the lab; a run with the same recipe and seed is replaced."""
    order = {recipe: number for number, recipe in enumerate(THEIRS)}
    known = read()
    kept = pd.concat([known, runs] if len(known) else [runs]).drop_duplicates(["recipe", "seed"], keep="last")
    kept = kept.assign(order=kept["recipe"].map(order)).sort_values(["order", "seed"])[COLUMNS]
    kept.to_csv(DATA, index=False, lineterminator="\n")


def table(runs):
    """Returns the table in Markdown, a row for each published number."""
    lines = [
        "| recipe | theirs | what theirs is | ours, mean | ours, 95 % interval | our runs | verdict |",
        "|---" * 7 + "|",
    ]
    for recipe, numbers in THEIRS.items():
        own = runs[runs["recipe"] == recipe].assign(task=TASK[recipe.partition("/")[2]])
        lines += [row(recipe, theirs, own) for theirs in numbers]
    return "\n".join(lines)


def row(recipe, theirs, own):
    """Returns the line of one published number beside our runs."""
    about = f"| `{recipe}` | {theirs} | {theirs.about()} "
    if own.empty:
        return f"{about}| not run | | 0 | |"
    scores, bounds = own[theirs.metric].to_numpy(float), TASKS[own["task"].iloc[0]].bounds
    found = summarize(own, theirs.metric, by="recipe", bounds=bounds).iloc[0]
    verdict = theirs.verdict(scores, bounds) if len(own) >= FEWEST else "too few runs"
    interval = f"{plain(found['mean_low'])} to {plain(found['mean_high'])}"
    return f"{about}| {plain(found['mean'])} | {interval} | {len(own)} | {verdict} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="train what is missing first")
    names = {"choices": THEIRS, "metavar": "RECIPE", "help": ", ".join(THEIRS)}
    parser.add_argument("--only", nargs="+", default=[*THEIRS], **names)
    parser.add_argument("--seeds", nargs=2, type=int, default=(1000, 1030), metavar=("FIRST", "END"))
    parser.add_argument("--dir", type=Path, default=Path("outputs", "published"))
    parser.add_argument("--jobs", type=int, help="runs at a time; all cores if it is not given")
    args = parser.parse_args()
    for recipe in args.only if args.run else ():
        train(recipe, args.dir / recipe, args.seeds, args.jobs)
        write(collect(recipe, args.dir / recipe))
    print(table(read()))


if __name__ == "__main__":
    main()
