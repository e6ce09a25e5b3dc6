"""Names of the observed numbers and of the actions."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium


class Names(NamedTuple):
    """An environment's own names."""

    dimensions: tuple[str, ...] = ()  # of the observed vector
    actions: tuple[str, ...] = ()
    plane: tuple[int, int] | None = None  # the two most informative dimensions


_WAYS = ("left", "down", "right", "up")
NAMES = {  # by the class of the unwrapped environment
    "CartPoleEnv": Names(
        ("cart_position", "cart_velocity", "pole_angle", "pole_velocity"), ("push left", "push right"), (2, 3)
    ),
    "MountainCarEnv": Names(("position", "velocity"), ("push left", "coast", "push right"), (0, 1)),
    "AcrobotEnv": Names(
        ("cos_angle_1", "sin_angle_1", "cos_angle_2", "sin_angle_2", "velocity_1", "velocity_2"),
        ("torque −1", "no torque", "torque +1"), (4, 5),
    ),
    "LunarLander": Names(
        ("x", "y", "x_velocity", "y_velocity", "angle", "angular_velocity", "left_leg", "right_leg"),
        ("nothing", "left engine", "main engine", "right engine"), (0, 1),
    ),
    "FrozenLakeEnv": Names(actions=_WAYS),
    "CliffWalkingEnv": Names(actions=("up", "right", "down", "left")),
    "TaxiEnv": Names(actions=("down", "up", "right", "left", "pick up", "drop off")),
}  # fmt: skip


def find_names(env: gymnasium.Env[object, object]) -> Names:
    """Returns an environment's names: the usual ones if there are any, else numbers."""
    found = NAMES.get(type(env.unwrapped).__name__, Names())
    shape = env.observation_space.shape or ()
    size = shape[0] if len(shape) == 1 else 0
    dimensions = found.dimensions if len(found.dimensions) == size else tuple(f"obs_{i}" for i in range(size))
    count = int(env.action_space.n)  # type: ignore[attr-defined]
    actions = found.actions if len(found.actions) == count else tuple(f"action {i}" for i in range(count))
    return Names(dimensions, actions, found.plane if size else None)
