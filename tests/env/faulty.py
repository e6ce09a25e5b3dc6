"""Compiled environments that break their contract, for tests."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from dqn_lab.env.compiled.base import CompiledEnv, draw, kernel

MISTAKES = ("none", "nan", "inf", "reward", "large", "raise", "reset", "raise in reset")
STEPS, EPISODE, AT, MISTAKE = range(4)  # indices of the state


@kernel
def reset(state, draws, obs):
    state[STEPS], obs[0], obs[1] = 0, draw(draws), 0
    state[EPISODE] += 1
    if state[EPISODE] == 3:
        if state[MISTAKE] == 6:
            obs[1] = np.nan
        if state[MISTAKE] == 7:
            raise RuntimeError("the wheel came off")


@kernel
def step(state, action, draws, obs):
    state[STEPS] += 1
    obs[0], obs[1], reward = draw(draws), state[STEPS], 1.0
    if state[EPISODE] == 2 and state[STEPS] == state[AT]:
        if state[MISTAKE] == 1:
            obs[1] = np.nan
        if state[MISTAKE] == 2:
            obs[0] = -np.inf
        if state[MISTAKE] == 3:
            reward = np.nan
        if state[MISTAKE] == 4:
            reward = 1e39
        if state[MISTAKE] == 5:
            raise RuntimeError("the wheel came off")
    return reward, state[STEPS] == 30


class Faulty(CompiledEnv):
    """Makes a mistake in its second episode, or at the reset after it."""

    kernels = reset, step
    observation_space, action_space = Box(-np.inf, np.inf, (2,), np.float32), Discrete(2)

    def __init__(self, mistake="none", at=12, episode=0):
        super().__init__(np.array([0, episode, at, MISTAKES.index(mistake)], float))


@kernel
def reset_places(state, draws, obs):
    state[0] = obs[0] = 3


@kernel
def step_places(state, action, draws, obs):
    state[0] += 1
    obs[0] = state[0]
    return 1.0, False


class Places(CompiledEnv):
    """Counts up from place 3, and leaves its space of ten places."""

    kernels = reset_places, step_places
    observation_space, action_space = MultiDiscrete([10]), Discrete(2)

    def __init__(self):
        super().__init__(np.zeros(1))


class Own(Faulty):
    """Overrides `step`."""

    def step(self, action):
        return super().step(0)


for name, kind in (("Faulty", Faulty), ("Places", Places), ("Own", Own)):
    gymnasium.register(f"{name}-v0", kind, max_episode_steps=200)
