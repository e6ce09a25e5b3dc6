"""Tries out components from outside the package, so that a mistake in one is found before the run begins."""

from __future__ import annotations

import contextlib
import random
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from dqn_lab import registry
from dqn_lab.build import build
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.types import ConfigError, Exploration, Logger, TrainingError

LONGEST = 10_000  # environment steps of a trial


def rehearse(config: Mapping[str, Any]) -> None:
    """Acts, makes one update and evaluates on a scratch copy, if a component is from outside the package.

    Args:
        config: a validated configuration. Neither it, nor the run, nor global random states are changed.

    Raises:
        ConfigError: such a component failed.
    """
    outside = _outside(config)
    if not outside:
        return
    try:
        with _global_states_kept():
            _play(config)
    except ConfigError as error:
        if not isinstance(error.__cause__, (AttributeError, TypeError)):
            raise
        raise _failure(error.__cause__, outside) from error  # raised by a component that another one was built with
    except TrainingError:  # due to the environment or the learning rate, which the run will report
        return
    except (Exception, SystemExit) as error:
        raise _failure(error, outside) from error


def _failure(error: BaseException, outside: Mapping[str, str]) -> ConfigError:
    """Says in one line which component failed, and how."""
    parts = _culprits(error, outside)
    group = parts[0].partition("=")[0]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    hint = f"`components {group}` prints what {'an' if group[0] in 'aeiou' else 'a'} {group} needs"
    return ConfigError(f"{', '.join(parts)}: failed in a trial before the run: {said}; {hint}")


def _outside(config: Mapping[str, Any]) -> dict[str, str]:
    """Maps each component from outside the package, as `group=name`, to its module."""
    parts = [(group, config[group]["name"]) for group in registry.GROUPS if group != "logger"]
    parts += [("logger", part["name"]) for part in config["logger"].values()]
    modules = {f"{group}={name}": registry.lookup(group, name).__module__ for group, name in parts}
    return {part: module for part, module in modules.items() if not module.startswith("dqn_lab.")}


def _play(config: Mapping[str, Any]) -> None:
    """Steps a scratch copy, in its own environment, until it has made an update.

    Raises:
        Exception: whatever a component raises.
    """
    train = {**config["train"], "learning_starts": 1, "interval": 1, "num_updates": 1}
    scratch = build({**config, "train": train, "engine": _engine(config), "rollout": {"name": "python"}})
    for logger in scratch.loggers:
        absent = [name for name in vars(Logger) if not name.startswith("_") and not hasattr(logger, name)]
        if absent:
            raise TypeError(f"{type(logger).__name__} has no {', '.join(absent)}")
    rollout, agent = scratch.rollout, scratch.agent
    env = scratch.make_env()
    _explore(agent.exploration, int(env.action_space.n))  # type: ignore[attr-defined]
    limit = min(LONGEST, train["batch_size"] + config["buffer"].get("n_step", 1) + 1)
    with contextlib.closing(rollout):
        while not rollout.progress.updates and rollout.progress.step < limit:
            rollout.advance(NEVER._replace(step=rollout.progress.step + 1))
    agent.target.follow(*agent.engine.parameters, Progress(), Progress(1, 1, 1))
    try:
        agent.greedy(np.asarray(env.reset(seed=0)[0])[None])
    finally:
        env.close()


def _explore(exploration: Exploration, num_actions: int) -> None:
    """Lets an exploration choose an action and report.

    Raises:
        TypeError: the action is none of the environment's, or the report has other columns than declared.
    """
    action = exploration.select(lambda: np.zeros(num_actions, np.float32), random.random, 0, Progress())
    if not isinstance(action, int | np.integer) or not 0 <= action < num_actions:
        raise TypeError(f"select returned {action!r}; must be a whole number, 0 to {num_actions - 1}")
    row = exploration.report(Progress())
    if set(row) != set(exploration.columns):
        declared = ", ".join(exploration.columns) or "none"
        raise TypeError(f"report returned {', '.join(row) or 'nothing'}; its columns are {declared}")


def _engine(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an engine that need not compile; a custom engine as it is."""
    name = config["engine"]["name"]
    return {"name": "torch"} if registry.lookup("engine", name).__module__.startswith("dqn_lab.") else config["engine"]


def _culprits(error: BaseException, outside: Mapping[str, str]) -> list[str]:
    """Lists the outside components in whose code an error was raised; all of them if it was in none."""
    frames = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [part for part, module in outside.items() if module in frames] or list(outside)


@contextlib.contextmanager
def _global_states_kept() -> Iterator[None]:
    """Restores the global random states, which custom code may use."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
