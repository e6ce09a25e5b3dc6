"""`evaluate`: greedy episodes with a run's policy."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from dqn_lab.cli._labels import task
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.cli._policy import add_policy, open_policy, play
from dqn_lab.cli._text import fitting, returns_text
from dqn_lab.records import read_record


@one_line_errors
def main(argv: list[str]) -> int:
    """Plays greedy episodes and prints their mean return; returns the exit code."""
    args = _parser().parse_args(argv)
    _evaluate(args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab evaluate",
        description="Plays greedy episodes with a run's policy, in fresh environments with their own seeds, and "
        "prints the mean ± standard deviation of their undiscounted returns. Writes nothing without --csv.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's directory, as `train` prints it")
    parser.add_argument("--episodes", type=positive, default=100, metavar="N", help="number of episodes (default: 100)")
    add_policy(parser)
    parser.add_argument("--seed", type=natural, metavar="N", help="seed of the episodes (default: the run's own)")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write one row per episode: episode, seed, return, length"
    )
    return parser


def _evaluate(args: argparse.Namespace) -> None:
    if args.csv:
        _check_file(args.csv)
    policy = open_policy(args.run, args.policy, args.trust)
    from dqn_lab.evaluate import summarize

    playing, console = play(policy, args.episodes, args.seed), Console(stderr=True)
    hidden = not sys.stderr.isatty()
    episodes = list(track(playing, "playing", args.episodes, console=console, transient=True, disable=hidden))
    if args.csv:
        with args.csv.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("episode", "seed", "return", "length"))
            writer.writerows((number, *episode) for number, episode in enumerate(episodes))
    score = summarize(episodes)
    line = (
        f"{task(policy.config)}, {args.policy} policy "
        f"(step {policy.step:,}), greedy: {returns_text(score)}, "
        f"from {score['return_min']:g} to {score['return_max']:g}"
    )
    status = read_record(args.run)["status"]
    print(fitting(line if status == "completed" else f"{line}; the run is not completed ({status})", 2))


def _check_file(path: Path) -> None:
    """Checks, before any episode is played, that a file can be written.

    Raises:
        ValueError: the file already exists, or its directory does not exist or is not writable.
    """
    if path.exists():
        raise ValueError(f"--csv {path}: exists already")
    if not path.parent.is_dir():
        raise ValueError(f"--csv {path}: no such directory: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--csv {path}: the directory is not writable")
