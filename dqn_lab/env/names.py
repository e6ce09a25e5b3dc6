"""Names of the observed numbers and of the actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple, flatdim

from dqn_lab.env import compiled
from dqn_lab.env.gymnasium import Flattened, StatesAsVector
from dqn_lab.env.state import class_path


class Names(NamedTuple):
    """An environment's own names."""

    dimensions: tuple[str, ...] = ()  # of the observed vector
    actions: tuple[str, ...] = ()
    plane: tuple[int, int] | None = None  # the two most informative dimensions
    continuous: tuple[int, ...] = ()  # the dimensions that are real numbers, not a state or a part of its one-hot


_WAYS = ("left", "down", "right", "up")
_ORIGINALS = {
    "gymnasium.envs.classic_control.cartpole.CartPoleEnv": Names(
        ("cart_position", "cart_velocity", "pole_angle", "pole_velocity"), ("push left", "push right"), (2, 3)
    ),
    "gymnasium.envs.classic_control.mountain_car.MountainCarEnv": Names(
        ("position", "velocity"), ("push left", "coast", "push right"), (0, 1)
    ),
    "gymnasium.envs.classic_control.acrobot.AcrobotEnv": Names(
        ("cos_angle_1", "sin_angle_1", "cos_angle_2", "sin_angle_2", "velocity_1", "velocity_2"),
        ("torque −1", "no torque", "torque +1"), (4, 5),
    ),
    "gymnasium.envs.box2d.lunar_lander.LunarLander": Names(
        ("x", "y", "x_velocity", "y_velocity", "angle", "angular_velocity", "left_leg", "right_leg"),
        ("nothing", "left engine", "main engine", "right engine"), (0, 1),
    ),
    "gymnasium.envs.toy_text.frozen_lake.FrozenLakeEnv": Names(actions=_WAYS),
    "gymnasium.envs.toy_text.cliffwalking.CliffWalkingEnv": Names(actions=("up", "right", "down", "left")),
    "gymnasium.envs.toy_text.taxi.TaxiEnv": Names(actions=("down", "up", "right", "left", "pick up", "drop off")),
}  # fmt: skip
_BY_NAME = {path.rpartition(".")[2]: names for path, names in _ORIGINALS.items()}
NAMES = {  # by the class of the unwrapped environment: Gymnasium's, or its compiled version
    **_ORIGINALS,
    **{f"{compiled.__name__}.{file}.{name}": _BY_NAME[name] for file, name, _ in compiled.CLASSES.values()},
}


def find_names(env: gymnasium.Env[object, object]) -> Names:
    """Returns an environment's names: the known ones, or else a `Dict`'s keys, or else numbered ones."""
    found = NAMES.get(class_path(env.unwrapped), Names())
    shape = env.observation_space.shape or ()
    size = shape[0] if len(shape) == 1 else 0
    keys = list(_keys(env))
    named = found.dimensions or tuple(name for name, _ in keys)
    dimensions = named if len(named) == size else tuple(f"obs_{i}" for i in range(size))
    flags = [is_continuous for _, is_continuous in keys] or [_is_continuous(env.observation_space)] * size
    count = int(env.action_space.n)  # type: ignore[attr-defined]
    actions = found.actions if len(found.actions) == count else tuple(f"action {i}" for i in range(count))
    continuous = tuple(i for i, flag in enumerate(flags) if flag)
    return Names(dimensions, actions, found.plane if size else None, continuous)


def _is_continuous(space: gymnasium.Space[Any]) -> bool:
    return isinstance(space, Box) and np.issubdtype(space.dtype, np.floating)


def _keys(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[str, bool]]:
    """Yields the name of each number of a `Dict` or `Tuple` that became a vector, and whether it is continuous."""
    while isinstance(env, gymnasium.Wrapper) and not isinstance(env, (Flattened, StatesAsVector)):
        env = env.env
    if isinstance(env, Flattened):
        yield from _flat_names(env.env.observation_space, "")
    elif isinstance(env, StatesAsVector):
        yield from ((key if isinstance(key, str) else f"obs_{key}", False) for key in env.keys)


def _flat_names(space: gymnasium.Space[Any], name: str) -> Iterator[tuple[str, bool]]:
    """Yields `key`, or `key[i]` if a key has several numbers, in the order in which Gymnasium flattens a space."""
    if isinstance(space, Dict):
        parts = [(str(key), part) for key, part in space.spaces.items()]
    elif isinstance(space, Tuple):
        parts = [(f"obs_{i}", part) for i, part in enumerate(space.spaces)]
    else:
        count = flatdim(space)
        names = [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]
        yield from ((each, _is_continuous(space)) for each in names)
        return
    for key, part in parts:
        yield from _flat_names(part, f"{name}.{key}" if name else key)
