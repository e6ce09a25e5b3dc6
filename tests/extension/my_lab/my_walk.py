"""A custom environment in compiled code: a noisy walk along a line, towards either end."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from dqn_lab.env.compiled.base import CompiledEnv, draw, kernel


@kernel
def reset(state, draws, obs):
    """Starts within one unit of the middle."""
    state[0] = 2 * draw(draws) - 1
    obs[0] = state[0]


@kernel
def step(state, action, draws, obs):
    """Moves one unit left or right, plus noise; reaching the right end earns 1."""
    state[0] += 2 * action - 1 + draw(draws) - 0.5
    obs[0] = state[0]
    return 1.0 if state[0] > state[1] else 0.0, abs(state[0]) > state[1]


class Walk(CompiledEnv):
    """A walk whose ends are `distance` from the middle."""

    kernels = reset, step
    observation_space, action_space = Box(-np.inf, np.inf, (1,), np.float32), Discrete(2)

    def __init__(self, distance=5.0):
        super().__init__(np.array([0.0, distance]))


gymnasium.register("Walk-v0", Walk, max_episode_steps=50)
