"""How actions are chosen, in compiled code.

The contract: `select(q_values, draws, progress, state)` returns an action; `end_episode(state)`. `q_values` is a
function and its arguments, of which the first is the array [1, A] that it fills in; it is called only when needed. All
explorations of the package have a state of the same types: values and start of a `Tabulated`, further numbers, and the
repetition under way.
"""

from __future__ import annotations

import math

import numpy as np

from dqn_lab._function import call, next_uniform, value_at
from dqn_lab._numba import inline, kernel


@inline
def take_best(q_values):
    """Computes the Q-values and returns the first action with the largest; NaN counts as largest, as in numpy."""
    best, q = 0, q_values[1][0]
    call(q_values[0], q_values[1])
    for action in range(1, q.shape[1]):
        if not q[0, action] <= q[0, best] and q[0, best] == q[0, best]:
            best = action
    return np.int64(best)


@kernel
def select_epsilon_greedy(q_values, draws, progress, state):
    """Takes a uniformly random action with probability ε, the greedy one otherwise."""
    values, start, _, _ = state
    if next_uniform(draws) < value_at(values, start, progress):
        return np.int64(next_uniform(draws) * q_values[1][0].shape[1])
    return take_best(q_values)


@kernel
def select_ez_greedy(q_values, draws, progress, state):
    """Starts, with probability ε, to repeat an action; `under_way` is whether one is repeated, which, and how long."""
    values, start, durations, under_way = state
    action, left = under_way[1], under_way[2]
    if left == 0:
        if next_uniform(draws) >= value_at(values, start, progress):
            return take_best(q_values)
        action = np.int64(next_uniform(draws) * q_values[1][0].shape[1])
        left = 1 + _count_up_to(durations, next_uniform(draws))
    under_way[0], under_way[1], under_way[2] = 1, action, left - 1
    return action


@kernel
def select_boltzmann(q_values, draws, progress, state):
    """Samples an action from the softmax of Q / temperature; the third array is for the running sums."""
    values, start, reached, _ = state
    temperature, q, total = value_at(values, start, progress), q_values[1][0], 0.0
    call(q_values[0], q_values[1])
    best = np.float64(q[0, 0])
    for action in range(1, q.shape[1]):
        best = np.float64(q[0, action]) if q[0, action] > best else best
    for action in range(q.shape[1]):
        away = np.float64(q[0, action]) - best
        total += (1.0 if away == 0 else 0.0) if temperature == 0 else math.exp(away / temperature)
        reached[action] = total
    return min(_count_up_to(reached, next_uniform(draws) * total), np.int64(q.shape[1] - 1))


@kernel
def end_episode(state):
    """Ends a repetition."""
    state[3][:] = 0


@inline
def _count_up_to(rising, number):
    """Returns how many of the ascending numbers are at most `number`, as bisect_right does."""
    low, high = np.int64(0), np.int64(len(rising))
    while low < high:
        middle = (low + high) // 2
        if number < rising[middle]:
            high = middle
        else:
            low = middle + 1
    return low
