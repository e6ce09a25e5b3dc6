"""`evaluate`: greedy episodes with a run's policy."""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from dqn_lab._outside import forget_changed, outside_names
from dqn_lab.cli import fail
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.cli._policies import add_policy, open_policy
from dqn_lab.cli._runs import check_run
from dqn_lab.cli._text import fitting, returns_text
from dqn_lab.errors import ConfigError, TrainingError
from dqn_lab.records import read_record

if TYPE_CHECKING:
    import gymnasium
    import numpy as np

    from dqn_lab.evaluate import Episode
    from dqn_lab.train import Experiment
    from dqn_lab.types import Array


def main(argv: list[str]) -> int:
    """Plays greedy episodes and prints their mean return; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        _evaluate(args)
    except ConfigError as error:
        return fail(*error.problems)
    except (ValueError, TrainingError) as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader of a pipe went away
        raise
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}")
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
    score, env = summarize(episodes), policy.config["env"]
    line = (
        f"{env.get('id', env['name'])}, {args.policy} policy "
        f"(step {policy.step:,}), greedy: {returns_text(score)}, "
        f"from {score['return_min']:g} to {score['return_max']:g}"
    )
    print(fitting(line, 2))


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


@dataclass(frozen=True)
class Policy:
    """A trained policy, ready to play."""

    config: dict[str, Any]
    experiment: Experiment
    step: int  # the run's step when the policy was saved

    @functools.cached_property
    def env(self) -> gymnasium.Env[Any, Any]:
        """An environment, closed, that converts observations."""
        with contextlib.closing(self.experiment.make_env()) as env:
            return env

    def q_values(self, obs: Any) -> Array:
        """Returns the Q-values [A] at an observation: [*O], or as the environment's own `Dict` or `Tuple`.

        Raises:
            ValueError: `obs` is not an observation of this environment.
        """
        from dqn_lab.env.encode import encode

        q_values: Array = self.experiment.agent.greedy(encode(self.env, obs)[None])[0]
        return q_values


def load_policy(directory: Path, name: str, trust: bool) -> Policy:
    """Builds a run's agent with one of its policies.

    Args:
        directory: the run's directory.
        name: `final`, `best`, or one saved during training, `step_…`.
        trust: allow importing code outside dqn_lab that the run's configuration names.

    Raises:
        ValueError: there is no such run or policy, or it needs code that is not trusted.
    """
    check_run(directory)
    record = read_record(directory)
    check_trust(record["config"], record, trust)
    from dqn_lab import checkpoint
    from dqn_lab.build import build, validate  # torch is imported once there is a run to evaluate

    config = validate({**record["config"], "device": "cpu", "logger": {}})
    experiment = build(config)
    about = checkpoint.load_policy(checkpoint.policy_path(directory, name), experiment.agent.engine.online)
    return Policy(config, experiment, about["step"])


def play(policy: Policy, num_episodes: int, seed: int | None) -> Iterator[Episode]:
    """Plays greedy episodes whose seeds depend only on `seed`; None stands for the run's own seed."""
    from dqn_lab.evaluate import evaluate

    agent, make_env = policy.experiment.agent, policy.experiment.make_env
    return evaluate(agent.greedy, make_env, _rng(policy, seed), num_episodes, agent.engine)


def seeds(policy: Policy, num_episodes: int, seed: int | None) -> list[int]:
    """Returns the seeds of the episodes that `play` plays."""
    from dqn_lab.evaluate import episode_seeds

    return episode_seeds(_rng(policy, seed), num_episodes)


def _rng(policy: Policy, seed: int | None) -> np.random.Generator:
    from dqn_lab.seeding import Streams

    return Streams(policy.config["seed"] if seed is None else seed)("evaluation of a finished run")


def check_trust(config: dict[str, Any], record: dict[str, Any], trust: bool) -> None:
    """Refuses a configuration that names code outside the registry, unless trusted; then makes the code importable.

    Raises:
        ValueError: the configuration names such code, and it is not trusted.
    """
    outside = sorted(outside_names(config))
    if outside and not trust:
        raise ValueError(f"this run imports {', '.join(outside)}; if you trust that code, add --trust")
    if trust:
        forget_changed()
        sys.path[:0] = record.get("import_path", [])
