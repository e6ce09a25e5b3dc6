"""MountainCar: Gymnasium's, compiled."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.envs.classic_control import mountain_car

from dqn_lab.env.compiled.base import CompiledEnv, draw, inline, kernel

MIN_POSITION, MAX_POSITION, MAX_SPEED, GOAL, FORCE, GRAVITY = -1.2, 0.6, 0.07, 0.5, 0.001, 0.0025
START, SPREAD = -0.6, -0.4 - -0.6
GOAL_VELOCITY = 2  # place in the state, after position and velocity


@kernel
def reset(state, draws, obs):
    """Draws a position from [−0.6, −0.4); the car stands still."""
    state[0], state[1] = START + SPREAD * draw(draws), 0.0
    _observe(state, obs)


@kernel
def step(state, action, draws, obs):
    """Pushes the car to the left, not at all, or to the right."""
    position, velocity = state[0], state[1]
    velocity += (action - 1) * FORCE + math.cos(3 * position) * -GRAVITY
    velocity = min(max(velocity, -MAX_SPEED), MAX_SPEED)
    position = min(max(position + velocity, MIN_POSITION), MAX_POSITION)
    if position == MIN_POSITION and velocity < 0:
        velocity = 0.0
    state[0], state[1] = position, velocity
    _observe(state, obs)
    return -1.0, position >= GOAL and velocity >= state[GOAL_VELOCITY]


@inline
def _observe(state, obs):
    obs[0], obs[1] = state[0], state[1]


class MountainCarEnv(CompiledEnv):
    """Gymnasium's `MountainCar-v0` (Moore 1990, "Efficient Memory-based Learning for Robot Control").

    Args:
        goal_velocity: the minimum velocity at the goal that counts as reaching it.
    """

    kernels = reset, step
    metadata = mountain_car.MountainCarEnv.metadata

    def __init__(self, goal_velocity: float = 0) -> None:
        original = mountain_car.MountainCarEnv()
        self.observation_space, self.action_space = original.observation_space, original.action_space
        super().__init__(np.array([0.0, 0.0, float(goal_velocity)]), num_saved=2)
