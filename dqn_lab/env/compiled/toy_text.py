"""FrozenLake, CliffWalking and Taxi: Gymnasium's, compiled from their transition tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.toy_text import cliffwalking, frozen_lake, taxi

from dqn_lab.env.compiled.base import CompiledEnv, draw, kernel

# The state: the current state, the numbers of states and actions, the largest number of outcomes, the first state's
# cumulative distribution; then, by state, action and outcome: cumulative probability, next state, reward, termination.
AT, STATES, ACTIONS, OUTCOMES, START = range(5)
FIELDS = 4


@kernel
def reset(state, draws, obs):
    """Draws the first state."""
    number, at = draw(draws), 0
    for i in range(np.int64(state[STATES]) - 1, -1, -1):
        at = i if state[START + i] > number else at
    state[AT] = obs[0] = at


@kernel
def step(state, action, draws, obs):
    """Draws an outcome of an action."""
    number, outcomes = draw(draws), np.int64(state[OUTCOMES])
    row = np.int64(state[AT]) * np.int64(state[ACTIONS]) + action
    first = START + np.int64(state[STATES]) + row * outcomes * FIELDS
    at = first
    for i in range(outcomes - 1, -1, -1):
        at = first + i * FIELDS if state[first + i * FIELDS] > number else at
    state[AT] = obs[0] = np.int64(state[at + 1])
    return state[at + 2], state[at + 3] > 0


class _ToyText(CompiledEnv):
    kernels = reset, step

    def __init__(self, original: Any) -> None:
        self.observation_space, self.action_space = original.observation_space, original.action_space
        num_states, num_actions = int(original.observation_space.n), int(original.action_space.n)
        most = max(len(outcomes) for actions in original.P.values() for outcomes in actions.values())
        table = np.zeros((num_states, num_actions, most, FIELDS))
        for at, actions in original.P.items():
            for action, outcomes in actions.items():
                table[at, action, : len(outcomes)] = [tuple(map(float, outcome)) for outcome in outcomes]
                table[at, action, : len(outcomes), 0] = np.cumsum([outcome[0] for outcome in outcomes])
        head = [0, num_states, num_actions, most, *np.cumsum(original.initial_state_distrib)]
        super().__init__(np.concatenate([head, table.ravel()]), num_saved=1)


class FrozenLakeEnv(_ToyText):
    """Gymnasium's `FrozenLake-v1`; takes its keyword arguments."""

    metadata = frozen_lake.FrozenLakeEnv.metadata

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(frozen_lake.FrozenLakeEnv(**kwargs))


class CliffWalkingEnv(_ToyText):
    """Gymnasium's `CliffWalking-v1`; takes its keyword arguments."""

    metadata = cliffwalking.CliffWalkingEnv.metadata

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(cliffwalking.CliffWalkingEnv(**kwargs))


class TaxiEnv(_ToyText):
    """Gymnasium's `Taxi-v4`; takes its keyword arguments, except `fickle_passenger`.

    Raises:
        ValueError: `fickle_passenger` is true.
    """

    metadata = taxi.TaxiEnv.metadata

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get("fickle_passenger"):
            raise ValueError("fickle_passenger=true: only Gymnasium's implementation supports it")
        super().__init__(taxi.TaxiEnv(**kwargs))
