"""`evaluate`: greedy episodes with a run's policy."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from dqn_lab.cli import fail
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.types import ConfigError, TrainingError


def main(argv: list[str]) -> int:
    """Plays greedy episodes and prints their mean return; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        _evaluate(args)
    except ConfigError as error:
        return fail(*error.problems)
    except (ValueError, TrainingError) as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab evaluate",
        description="Plays greedy episodes with a run's policy, in environments and from seeds of their own, and "
        "prints the mean of their undiscounted returns ± its standard deviation. Writes nothing unless --csv asks.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's directory, as `train` prints it")
    parser.add_argument("--episodes", type=positive, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument("--policy", choices=("final", "best"), default="final", help="(default: final)")
    parser.add_argument("--seed", type=natural, metavar="N", help="of the episodes (default: the run's own)")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write a row per episode: episode, seed, return, length"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the Python code outside of dqn_lab that the run's configuration names",
    )
    return parser


def _evaluate(args: argparse.Namespace) -> None:
    # torch is imported when a run is really there to evaluate
    from dqn_lab.records import read_record

    record = read_record(args.run)
    config = record["config"]
    if args.csv and args.csv.exists():
        raise ValueError(f"--csv {args.csv}: exists already")
    _check_trust(config, record, args.trust)
    from dqn_lab.build import build, validate
    from dqn_lab.checkpoint import load_policy
    from dqn_lab.evaluate import evaluate, summarize
    from dqn_lab.seeding import Streams

    config = validate({**config, "device": "cpu", "logger": {}})
    experiment = build(config)
    about = load_policy(args.run / "checkpoint" / f"{args.policy}.pt", experiment.agent.engine.online)
    rng = Streams(config["seed"] if args.seed is None else args.seed)("evaluation of a finished run")
    episodes = list(
        track(
            evaluate(experiment.agent.greedy, experiment.make_env, rng, args.episodes),
            "playing",
            total=args.episodes,
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
    )
    if args.csv:
        with args.csv.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("episode", "seed", "return", "length"))
            writer.writerows((number, *episode) for number, episode in enumerate(episodes))
    score = summarize(episodes)
    print(
        f"{config['env']['id'] if 'id' in config['env'] else config['env']['name']}, {args.policy} policy "
        f"(step {about['step']:,}), greedy, {score['episodes']} episodes: "
        f"{score['return_mean']:.1f} ± {score['return_std']:.1f} "
        f"(from {score['return_min']:g} to {score['return_max']:g})"
    )


def _check_trust(config: dict[str, Any], record: dict[str, Any], trust: bool) -> None:
    """Refuses names of code outside the registry, unless they are trusted; then makes them importable.

    Raises:
        ValueError: such a name, and no trust.
    """
    outside = sorted(_outside_names(config))
    if outside and not trust:
        raise ValueError(f"this run imports {', '.join(outside)}; if you trust that code, add --trust")
    if trust:
        sys.path[:0] = record.get("import_path", [])


def _outside_names(config: dict[str, Any]) -> set[str]:
    parts = config.values()  # loggers are not built for an evaluation
    names = [part[key] for part in parts if isinstance(part, dict) for key in ("name", "id") if key in part]
    return {name for name in names if ":" in str(name)}
