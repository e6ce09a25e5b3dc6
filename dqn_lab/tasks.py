"""Names of tasks, and the known bounds of their returns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Task(NamedTuple):
    """What is known about the undiscounted returns of an environment as Gymnasium registers it."""

    bounds: tuple[float, float]  # the least and the greatest possible return; infinite if there is no limit
    threshold: float | None = None  # the return at which it counts as solved
    indifferent: tuple[str, ...] = ()  # settings, or their prefixes, that do not affect the bounds
    practical: bool = False  # whether returns beyond the bounds are possible, though rare


_PLAY = ("kwargs.sticky_action_prob", "kwargs.difficulty_ramping", "kwargs.use_minimal_action_set", "max_episode_steps")
_SCREEN = ("frame_", "screen_size", "noop_max", "repeat_action_probability", "max_frames")
TASKS = {
    "CartPole-v0": Task((0.0, 200.0), 195.0),
    "CartPole-v1": Task((0.0, 500.0), 475.0),
    "Acrobot-v1": Task((-500.0, 0.0), -100.0),
    "MountainCar-v0": Task((-200.0, 0.0), -110.0),
    "LunarLander-v3": Task((-1000.0, 320.0), 200.0, practical=True),  # the shaping reward is unbounded
    "FrozenLake-v1": Task((0.0, 1.0), indifferent=("kwargs.map_name", "kwargs.is_slippery", "max_episode_steps")),
    "FrozenLake8x8-v1": Task((0.0, 1.0), indifferent=("kwargs.is_slippery", "max_episode_steps")),
    # 200 steps of −10; at best 15, or 17 if a fickle passenger returns after one step
    "Taxi-v4": Task((-2000.0, 17.0), indifferent=("kwargs.",)),
    "CliffWalking-v1 (max_episode_steps=200)": Task(
        (-20_000.0, -13.0)
    ),  # off the cliff at every step; the shortest path
    "MinAtar/Asterix-v1": Task((0.0, math.inf), indifferent=_PLAY),
    "MinAtar/Breakout-v1": Task((0.0, math.inf), indifferent=_PLAY),
    "MinAtar/Freeway-v1": Task((0.0, 93.0), indifferent=_PLAY),  # 2,501 frames, at least 27 per crossing
    "MinAtar/Seaquest-v1": Task(
        (-1.0, math.inf), indifferent=_PLAY
    ),  # −1: surfacing with six divers and no oxygen left
    "MinAtar/SpaceInvaders-v1": Task((0.0, math.inf), indifferent=_PLAY),
    "ALE/Breakout-v5": Task((0.0, 864.0), indifferent=_SCREEN),  # there are only two walls
    "ALE/Pong-v5": Task((-21.0, 21.0), indifferent=_SCREEN),
    "ALE/Qbert-v5": Task((0.0, math.inf), indifferent=_SCREEN),
    "ALE/Seaquest-v5": Task((0.0, math.inf), indifferent=_SCREEN),
    "ALE/SpaceInvaders-v5": Task((0.0, math.inf), indifferent=_SCREEN),
}


SAME_RETURNS = (  # the names, and settings that affect learning, speed or statistics, but not the returns
    "env.id",
    "env.name",
    "env.truncation_terminates",
    "env.rescale",
    "env.return_bounds",
    "env.implementation",
)


def find_task(name: str) -> Task | None:
    """Looks up a task by the name that `task_name` returns; None if it is unknown."""
    base, _, settings = name.partition(" (")
    task = TASKS.get(name) or TASKS.get(base)
    if task is None or name in TASKS:
        return task
    keys = re.findall(r"(?:^|, )([a-z_.]+)=", settings)
    return task if all(key.startswith(task.indifferent) for key in keys) and task.indifferent else None


def task_name(config: Mapping[str, Any]) -> str:
    """Names a run's task: the environment's id, and the settings that change its returns.

    Args:
        config: the configuration, with dotted keys.
    """
    settings = _identity(config)
    name = str(settings.pop("env.id"))
    changed = [f"{key[4:]}={value}" for key, value in settings.items()]
    return f"{name} ({', '.join(changed)})" if changed else name


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what identifies a run's task: the environment's name, and the settings that change its returns."""
    name = config.get("env.id") or config.get("env.name") or "unknown"
    given = {key: value for key, value in config.items() if key.startswith("env.") and key not in SAME_RETURNS}
    return {"env.id": name, **{key: value for key, value in given.items() if str(value) != "None"}}


def telling_keys(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lists the settings by which the tasks of configurations with dotted keys differ."""
    tasks = [_identity(config) for config in configs]
    keys = dict.fromkeys(key for task in tasks for key in task)
    return [key for key in keys if len({str(task.get(key)) for task in tasks}) > 1]


def apart(keys: Sequence[str]) -> str:
    """Returns a sentence that says why runs of different tasks are not compared.

    Args:
        keys: the settings in which they differ, as `telling_keys` lists them.
    """
    what = "their environment" if not keys or "env.id" in keys else " or ".join(keys)
    return f"Runs that differ in {what} are different tasks: their returns are not compared with one another."


def return_bounds(env: Mapping[str, Any]) -> list[float] | None:
    """Returns the least and greatest return of an environment: those configured, else the known ones, else None.

    Args:
        env: the environment's configuration.
    """
    if env.get("return_bounds") is not None:
        return list(env["return_bounds"])
    task = task_of(env)
    return list(task.bounds) if task else None


def task_of(env: Mapping[str, Any]) -> Task | None:
    """Looks up the task of an environment's configuration; None if it is unknown."""
    return find_task(task_name(dotted(env)))


def dotted(env: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an environment's configuration with dotted keys, as in a run's whole configuration."""
    keys = {f"env.{key}": value for key, value in env.items() if key != "kwargs"}
    return keys | {f"env.kwargs.{key}": value for key, value in (env.get("kwargs") or {}).items()}
