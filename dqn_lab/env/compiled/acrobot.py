"""Acrobot: Gymnasium's, compiled. Every number is computed in the order of the original."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.envs.classic_control import acrobot

from dqn_lab.env.compiled.base import CompiledEnv, draw, inline, kernel
from dqn_lab.env.compiled.numpy_functions import cos, sin

PI, DT, MAX_VELOCITY_1, MAX_VELOCITY_2 = math.pi, 0.2, 4 * math.pi, 9 * math.pi
WEIGHT_1, WEIGHT_2 = 1.5 * 9.8, 0.5 * 9.8
START, SPREAD = -0.1, 0.1 - -0.1
TWO, SCRATCH = 4, 5  # places in the state, after two angles and their velocities: 2.0 for `_square`, room for a step


@kernel
def reset(state, draws, obs):
    """Draws each number of the state from [−0.1, 0.1), in single precision."""
    for i in range(4):
        state[i] = np.float32(START + SPREAD * draw(draws))
    first, second = np.float32(state[0]), np.float32(state[1])
    obs[0], obs[1], obs[2], obs[3] = cos(first), sin(first), cos(second), sin(second)
    obs[4], obs[5] = state[2], state[3]


@kernel
def step(state, action, draws, obs):
    """Applies a torque of −1, 0 or 1 for a fifth of a second: one step of the fourth-order Runge-Kutta method."""
    torque, place = np.float64(action - 1), SCRATCH + 4
    for i in range(4):
        state[SCRATCH + i] = state[i]
    for stage in range(4):
        k = place + 4 * stage
        _derive(state, torque, k)
        share = DT if stage == 2 else DT / 2.0
        for i in range(4):
            state[SCRATCH + i] = state[i] + share * state[k + i]
    for i in range(4):
        k1, k2, k3, k4 = state[place + i], state[place + 4 + i], state[place + 8 + i], state[place + 12 + i]
        state[i] += DT / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
    state[0], state[1] = _wrap(state[0]), _wrap(state[1])
    state[2] = min(max(state[2], -MAX_VELOCITY_1), MAX_VELOCITY_1)
    state[3] = min(max(state[3], -MAX_VELOCITY_2), MAX_VELOCITY_2)
    first = cos(state[0])
    obs[0], obs[1], obs[2], obs[3] = first, sin(state[0]), cos(state[1]), sin(state[1])
    obs[4], obs[5] = state[2], state[3]
    terminated = -first - cos(state[1] + state[0]) > 1.0
    return 0.0 if terminated else -1.0, terminated


@inline
def _derive(state, torque, to):
    """Writes the derivatives at the numbers in `SCRATCH`; all masses and lengths are 1, centres of mass at 0.5."""
    theta1, theta2, dtheta1, dtheta2 = state[SCRATCH], state[SCRATCH + 1], state[SCRATCH + 2], state[SCRATCH + 3]
    cos2, sin2 = cos(theta2), sin(theta2)
    d1 = 0.25 + (1.25 + cos2) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cos2 + 1.0
    phi2 = WEIGHT_2 * cos(theta1 + theta2 - PI / 2.0)
    phi1 = -0.5 * _square(dtheta2, state) * sin2 - dtheta2 * dtheta1 * sin2 + WEIGHT_1 * cos(theta1 - PI / 2) + phi2
    above = torque + d2 / d1 * phi1 - 0.5 * _square(dtheta1, state) * sin2 - phi2
    ddtheta2 = above / (1.25 - _square(d2, state) / d1)
    state[to], state[to + 1], state[to + 2], state[to + 3] = dtheta1, dtheta2, -(d2 * ddtheta2 + phi1) / d1, ddtheta2


@inline
def _square(x, state):
    """Returns x² rounded like the C library's pow, as numpy's scalars do; it is not always x · x."""
    return x ** state[TWO]


@inline
def _wrap(angle):
    """Returns an angle in [−π, π]."""
    while angle > PI:
        angle = angle - 2 * PI
    while angle < -PI:
        angle = angle + 2 * PI
    return angle


class AcrobotEnv(CompiledEnv):
    """Gymnasium's `Acrobot-v1` (Sutton 1996, "Generalization in Reinforcement Learning")."""

    kernels = reset, step
    metadata = acrobot.AcrobotEnv.metadata

    def __init__(self) -> None:
        original = acrobot.AcrobotEnv()
        self.observation_space, self.action_space = original.observation_space, original.action_space
        state = np.zeros(SCRATCH + 4 + 16)
        state[TWO] = 2.0
        super().__init__(state, num_saved=4)
