"""CartPole: Gymnasium's, compiled."""

from __future__ import annotations

import numpy as np
from gymnasium.envs.classic_control import cartpole

from dqn_lab.env.compiled.base import CompiledEnv, draw, inline, kernel
from dqn_lab.env.compiled.numpy_functions import cos, sin

GRAVITY, MASS_POLE, LENGTH, FORCE, TAU = 9.8, 0.1, 0.5, 10.0, 0.02
TOTAL_MASS, POLE_MASS_LENGTH = MASS_POLE + 1.0, MASS_POLE * LENGTH
MAX_X, MAX_THETA = 2.4, 12 * 2 * np.pi / 360
SUTTON_BARTO = 4  # place in the state, after the four numbers of the cart and its pole


@kernel
def reset(state, draws, obs):
    """Draws each number of the state from [−0.05, 0.05)."""
    for i in range(4):
        state[i] = -0.05 + 0.1 * draw(draws)
    _observe(state, obs)


@kernel
def step(state, action, draws, obs):
    """Pushes the cart to the left or to the right for a fiftieth of a second."""
    x, x_dot, theta, theta_dot = state[0], state[1], state[2], state[3]
    force = FORCE if action == 1 else -FORCE
    costheta, sintheta = cos(theta), sin(theta)
    temp = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sintheta) / TOTAL_MASS
    thetaacc = (GRAVITY * sintheta - costheta * temp) / (
        LENGTH * (4.0 / 3.0 - MASS_POLE * (costheta * costheta) / TOTAL_MASS)
    )
    xacc = temp - POLE_MASS_LENGTH * thetaacc * costheta / TOTAL_MASS
    state[0], state[1] = x + TAU * x_dot, x_dot + TAU * xacc
    state[2], state[3] = theta + TAU * theta_dot, theta_dot + TAU * thetaacc
    _observe(state, obs)
    terminated = abs(state[0]) > MAX_X or abs(state[2]) > MAX_THETA
    if state[SUTTON_BARTO]:
        return -1.0 if terminated else 0.0, terminated
    return 1.0, terminated


@inline
def _observe(state, obs):
    for i in range(4):
        obs[i] = state[i]


class CartPoleEnv(CompiledEnv):
    """Gymnasium's `CartPole-v1` (Barto, Sutton, Anderson 1983, https://doi.org/10.1109/TSMC.1983.6313077).

    Args:
        sutton_barto_reward: whether a step earns 0 and the fall −1, in place of 1 each.
    """

    kernels = reset, step
    metadata = cartpole.CartPoleEnv.metadata

    def __init__(self, sutton_barto_reward: bool = False) -> None:
        original = cartpole.CartPoleEnv()
        self.observation_space, self.action_space = original.observation_space, original.action_space
        super().__init__(np.array([0.0, 0.0, 0.0, 0.0, float(sutton_barto_reward)]), num_saved=4)
