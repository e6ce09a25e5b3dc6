"""What is stored and how it is sampled, in compiled code.

The contract: `append(obs, action, reward, next_obs, terminated, truncated, state)`; `ready(batch_size, state)`;
`sample(draws, rows, weights, state)`, which fills `rows` [B] and, unless all are 1, `weights` [B], and returns how many
of each it filled; `update_priorities(rows, priorities, state)`, which returns whether they are valid.

A state begins with (memory, counts, windows): the stored transitions, with observations as [N, I]; counts, such as
where the next transition goes, how many are stored, and whether the last one is fresh; and the unfinished windows, as
`_compiled.py` makes them.
"""

from __future__ import annotations

import math

import numpy as np

from dqn_lab._function import value_at
from dqn_lab._numba import inline, kernel
from dqn_lab.buffer._tree_kernels import find, put, rank, weigh

HEAD, SIZE, WRITTEN, STEPS, FRESH, READ = range(6)  # of the counts


@inline
def store(obs, action, reward, next_obs, terminated, truncated, state):
    """Appends one step, and stores the transitions that it completes.

    Returns:
        their number; the windows' last array holds their rows.
    """
    memory, counts, windows = state[0], state[1], state[2]
    counts[STEPS] += 1
    counts[FRESH] = 1
    all_obs, actions, rewards, waiting, powers, places = windows
    n_step, completed = len(actions), 0
    if n_step == 1:
        places[0] = _put(obs, action, reward, next_obs, 0.0 if terminated else powers[1], memory, counts)
        return 1
    first, length = waiting[0], waiting[1] + 1
    last = (first + length - 1) % n_step
    for i in range(len(obs)):
        all_obs[last, i] = obs[i]
    actions[last], rewards[last] = action, reward
    while length == n_step or (length > 0 and (terminated or truncated)):
        total = 0.0
        for i in range(length - 1, -1, -1):
            total = rewards[(first + i) % n_step] + powers[1] * total
        discount = 0.0 if terminated else powers[length]
        places[completed] = _put(all_obs[first], actions[first], total, next_obs, discount, memory, counts)
        first, length, completed = (first + 1) % n_step, length - 1, completed + 1
    waiting[0], waiting[1] = first, length
    return completed


@inline
def _put(obs, action, reward, next_obs, discount, memory, counts):
    """Stores one transition and returns where."""
    all_obs, actions, rewards, all_next_obs, discounts = memory
    row = counts[HEAD]
    for i in range(len(obs)):
        all_obs[row, i], all_next_obs[row, i] = obs[i], next_obs[i]
    actions[row], rewards[row], discounts[row] = action, reward, discount
    counts[HEAD] = 0 if row + 1 == len(actions) else row + 1
    counts[SIZE] = min(counts[SIZE] + 1, len(actions))
    counts[WRITTEN] += 1
    return row


@kernel
def append(obs, action, reward, next_obs, terminated, truncated, state):
    """Appends one step, and stores the transitions that it completes."""
    store(obs, action, reward, next_obs, terminated, truncated, state)


@kernel
def ready(batch_size, state):
    """Returns whether a whole batch is stored."""
    return state[1][SIZE] >= batch_size


@kernel
def sample_uniform(draws, rows, weights, state):
    """Draws a batch from uniform numbers in [0, 1), [B]; without replacement unless the state's last array is empty.

    That array is 0, 1, … capacity − 1. The partial shuffle undoes every change that it makes to it.
    """
    size, order = state[1][SIZE], state[3]
    if len(order) == 0:
        for i in range(len(draws)):
            rows[i] = np.int64(draws[i] * np.float64(size))
        bring_near(rows[: len(draws)], state)
        return len(draws), 0
    for i in range(len(draws)):
        other = i + np.int64(draws[i] * (size - i))
        rows[i] = order[other]
        order[other] = order[i]
    for i in range(len(draws)):
        other = i + np.int64(draws[i] * (size - i))
        order[other] = other
    bring_near(rows[: len(draws)], state)
    return len(draws), 0


@inline
def bring_near(rows, state):
    """Reads part of every transition of a batch, all at once: an update would wait for them one after the other.

    That wait took a third of a step. Prefetch instructions help little: processors skip those that need a page walk.
    """
    all_obs, actions, rewards, all_next_obs, discounts = state[0]
    total = 0.0
    for i in range(len(rows)):
        row = rows[i]
        total += all_obs[row, 0] + all_next_obs[row, 0] + rewards[row] + discounts[row] + actions[row]
    state[1][READ] = total == 0  # so that the compiler does not remove the reads


@kernel
def keep_priorities(rows, priorities, state):
    """Accepts any priorities: there are none to set."""
    return True


@kernel
def ready_once(batch_size, state):
    """Returns whether there is a transition that has not been learned from yet."""
    return state[1][FRESH] == 1


@kernel
def sample_latest(draws, rows, weights, state):
    """Returns the one transition; the draws are ignored."""
    state[1][FRESH], rows[0] = 0, 0
    return 1, 0


@kernel
def append_prioritized(obs, action, reward, next_obs, terminated, truncated, state):
    """Appends one step; the transitions that it completes get the largest priority so far."""
    completed = store(obs, action, reward, next_obs, terminated, truncated, state)
    (_, exponent, _), largest, (_, masses) = state[5], state[6], state[8]
    for i in range(completed):
        masses[i] = largest[0] ** exponent
    _put_masses(state[2][5][:completed], masses[:completed], state)


@kernel
def sample_prioritized(draws, rows, weights, state):
    """Draws transitions with probabilities proportional to their masses, and computes their importance weights."""
    (nodes, starts), (least_nodes, least_starts), (_, _, stratified) = state[3], state[4], state[5]
    (values, start), (_, masses), least = state[7], state[8], 0.0
    find(nodes, starts, draws, stratified, rows[: len(draws)], masses[: len(draws)])
    if len(least_nodes):
        least = least_nodes[least_starts[-2]]
        for node in range(least_starts[-2], least_starts[-1]):
            least = min(least, least_nodes[node])
    bring_near(rows[: len(draws)], state)
    exponent = value_at(values, start, (state[1][STEPS], np.int64(0), np.int64(0)))
    weigh(masses[: len(draws)], least, exponent, weights[: len(draws)])
    return len(draws), len(draws)


@kernel
def take_priorities(rows, priorities, state):
    """Sets the priorities of transitions just learned from to their |δ|, unless one is negative or not finite."""
    (epsilon, exponent, _), largest, (td_errors, masses) = state[5], state[6], state[8]
    for i in range(len(rows)):
        td_errors[i] = priorities[i]
    low, high = rank(td_errors[: len(rows)], epsilon, exponent, masses[: len(rows)])
    if not (low >= 0 and low <= high and high < math.inf):
        return False
    largest[0] = max(largest[0], high + epsilon)
    _put_masses(rows, masses[: len(rows)], state)
    return True


@inline
def _put_masses(rows, masses, state):
    (nodes, starts), (least_nodes, least_starts) = state[3], state[4]
    put(nodes, starts, False, rows, masses)
    if len(least_nodes):
        put(least_nodes, least_starts, True, rows, masses)
