"""A run's policy: how it is named on the command line, opened and played."""

from __future__ import annotations

import argparse
import contextlib
import functools
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._nearest import nearest
from dqn_lab._outside import changed_since
from dqn_lab._paths import policy_names, policy_path
from dqn_lab.cli import warn
from dqn_lab.cli._runs import check_run, engine_of
from dqn_lab.cli._trust import add_trust, check_trust
from dqn_lab.records import read_record

if TYPE_CHECKING:
    import gymnasium
    import numpy as np

    from dqn_lab.evaluate import Episode
    from dqn_lab.train import Experiment
    from dqn_lab.types import Array


@dataclass(frozen=True)
class Policy:
    """A trained policy, ready to play."""

    config: dict[str, Any]
    experiment: Experiment
    step: int  # the run's step when the policy was saved
    _lock: threading.Lock = field(default_factory=threading.Lock)  # an engine computes in one workspace

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

        with self._lock:
            q_values: Array = self.experiment.agent.greedy(encode(self.env, obs)[None])[0]
        return q_values


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for the policy, and for trusting its code."""
    parser.add_argument(
        "--policy", default="final", metavar="NAME",
        help="final, best, or one saved during training, step_… (default: final)",
    )  # fmt: skip
    add_trust(parser)


def open_policy(directory: Path, name: str, trust: bool, tell: Callable[[str], None] = warn) -> Policy:
    """Opens one of a run's policies.

    Args:
        directory: the run's directory.
        name: `final`, `best`, or one saved during training, `step_…`.
        trust: allow importing code outside dqn_lab that the run's configuration names.
        tell: is called with a line for each of the user's files that has changed since the run began.

    Raises:
        ConfigError: there is no such run.
        ValueError: there is no such policy, or it needs code that is not trusted.
    """
    check_run(directory)
    record = read_record(directory)
    there = policy_names(directory)
    if name not in there and (name == "final" or not there):
        raise ValueError(f"{directory}: {_without_policy(directory, record['status'], there)}")
    if name not in there:
        hint = "the selected policy is saved as best; " if name == "selected" else ""
        raise ValueError(f"--policy={name}: {directory} has no such policy; {hint}{nearest(name, there)}")
    config = {**record["config"], "device": "cpu", "logger": {}}
    check_trust(config, record, trust)
    from dqn_lab import checkpoint
    from dqn_lab.build import build, validate  # torch is imported once there is a run to evaluate

    config = validate(config)
    experiment = build({**config, "engine": engine_of(record, config), "buffer": _smallest(config)})
    about = checkpoint.load_policy(policy_path(directory, name), experiment.agent.engine.online)
    for module in changed_since(record):
        tell(f"{module} has changed since the run began; the policy plays with the new code")
    return Policy(config, experiment, about["step"])


def _without_policy(directory: Path, status: str, there: Sequence[str]) -> str:
    """Returns why a run has no final policy, or no policy at all, and what to do."""
    what = "final policy" if there else "policy"
    reasons = {
        "interrupted": f"was interrupted and has no {what}; `python -m dqn_lab resume {shlex.quote(str(directory))}` "
        "continues it",
        "running": f"is still running and has no {what} yet",
        "failed": f"failed and has no {what}",
    }
    others = f"; policies here: {', '.join(there)}" if there else ""
    return f"{reasons.get(status, f'has no {what}')}{others}"


def _smallest(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a buffer's configuration with the least capacity: a policy needs none of a replay memory of gigabytes."""
    buffer = dict(config["buffer"])
    if "capacity" in buffer:
        buffer["capacity"] = max(config["train"]["batch_size"], buffer.get("n_step", 1))
    return buffer


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
