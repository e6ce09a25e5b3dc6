"""Recognises environments whose observations are stacks of frames."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium import Space
from gymnasium.spaces import Box
from gymnasium.wrappers import (
    FrameStackObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

from dqn_lab._stack import Stack
from dqn_lab.env.checked import Checked
from dqn_lab.env.gymnasium import TruncationTerminates

TRANSPARENT = (  # wrappers that leave observations as they are
    Checked, TruncationTerminates, TimeLimit, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics,
    gymnasium.RewardWrapper, gymnasium.ActionWrapper,
)  # fmt: skip


def space_of(env: gymnasium.Env[Any, Any]) -> Space[Any]:
    """Returns an environment's observation space, as a `Stack` if Gymnasium's wrapper stacks its frames."""
    space = env.observation_space
    while isinstance(env, TRANSPARENT):
        env = env.env
    if isinstance(env, FrameStackObservation) and isinstance(space, Box):
        return Stack(space.low, space.high, dtype=space.dtype)
    return space
