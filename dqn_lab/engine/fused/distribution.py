"""Shared by values with several outputs per action: gathers the outputs of one action of each sample.

Samples lie side by side, as in `layers.py`, whatever their actions are: [tiles, K, TILE].
"""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import num_values, output_place, output_width
from dqn_lab.engine.fused.workspace import part


@inline
def gather_next(first, mixed, batch_size, plan, space):
    """Fills the first tile of `TAKEN` with the next outputs of samples from `first` on, padded with 0.

    Args:
        first: the first sample of the batch.
        mixed: which of `NUM_MIXED` next actions to take the outputs of; if there is only one, the most likely one.
        batch_size: B.
    """
    outputs, taken = part(space, plan, layout.NEXT_OUTPUTS), part(space, plan, layout.TAKEN)
    num_actions, size = plan[layout.NUM_ACTIONS], plan[layout.COUNTS + layout.TARGET_NOISE]
    for lane in range(TILE):
        sample = first + lane
        if sample < batch_size:
            at = (sample * num_actions + next_action(sample, mixed, plan, space)) * size
            for i in range(size):
                taken[i * TILE + lane] = outputs[at + i]
        else:
            for i in range(size):
                taken[i * TILE + lane] = 0


@inline
def next_action(sample, mixed, plan, space):
    """Returns the index of a mixed next action."""
    if plan[layout.NUM_MIXED] > 1:
        return mixed
    probabilities, best = part(space, plan, layout.PROBABILITIES), mixed
    num_actions = plan[layout.NUM_ACTIONS]
    for a in range(num_actions):
        best = a if probabilities[sample * num_actions + a] > 0 else best
    return best


@inline
def zero_or_none(sample, batch_size, plan, space):
    """Returns 0, or NaN if a Q-value of the target network at s′ is not finite, like torch, where 0 · NaN is NaN."""
    q_values, num_actions = part(space, plan, layout.PASS_Q_VALUES), plan[layout.NUM_ACTIONS]
    first, total = (layout.TARGET_NEXT * batch_size + sample) * num_actions, q_values.dtype.type(0)
    for a in range(first, first + num_actions):
        total += total * q_values[a]
    return total


@inline
def gather_taken(action, rows, samples, plan, space):
    """Fills `TAKEN` with outputs of the actions taken, and `GOAL` with their targets; 0 pads the last tile of both.

    Args:
        action: the actions of all stored transitions.
        rows: [B], the rows of the batch's transitions.
        samples: the samples of the batch whose outputs are in `LAST`.

    Returns:
        the number of tiles.
    """
    outputs, taken = part(space, plan, layout.LAST), part(space, plan, layout.TAKEN)
    target, goal = part(space, plan, layout.TARGET), part(space, plan, layout.GOAL)
    size, goals = plan[layout.COUNTS + layout.ONLINE], plan[layout.TARGET_SIZE]
    width, values, tiles = output_width(layout.ONLINE, plan), num_values(plan), (len(samples) + TILE - 1) // TILE
    for j in range(tiles * TILE):
        to, to_goal = j // TILE * size * TILE + j % TILE, j // TILE * goals * TILE + j % TILE
        if j < len(samples):
            at = output_place(j, width, values) + action[rows[samples[j]]] * size * TILE
            for i in range(size):
                taken[to + i * TILE] = outputs[at + i * TILE]
            for i in range(goals):
                goal[to_goal + i * TILE] = target[samples[j] * goals + i]
        else:
            for i in range(size):
                taken[to + i * TILE] = 0
            for i in range(goals):
                goal[to_goal + i * TILE] = 0
    return tiles


@inline
def scatter_taken(action, rows, samples, share, weights, plan, space, priorities):
    """Copies the gradient in `TAKEN`, where the outputs were, to `GRADIENT`, and sums up what is in `JUDGED`.

    Args:
        share: the weight of each loss in the mean whose gradient is taken.
        weights: [B], or empty if all are 1.
        priorities: [B], filled.

    Returns:
        the sums of loss and Q(s, a).
    """
    dy, taken = part(space, plan, layout.GRADIENT), part(space, plan, layout.TAKEN)
    judged = part(space, plan, layout.JUDGED)
    size, width, values = plan[layout.COUNTS + layout.ONLINE], output_width(layout.ONLINE, plan), num_values(plan)
    number, room = space.dtype.type, plan[layout.CHUNK_SIZE]
    sum_loss = sum_q_value = number(0)
    for j in range(len(samples)):
        sample, at = samples[j], j // TILE * size * TILE + j % TILE
        weight = weights[sample] if len(weights) else number(1)
        to, factor = output_place(j, width, values) + action[rows[sample]] * size * TILE, weight * share
        for i in range(size):
            dy[to + i * TILE] = taken[at + i * TILE] * factor
        sum_loss += weight * judged[layout.LOSS * room + j]
        sum_q_value += judged[layout.Q_VALUE * room + j]
        priorities[sample] = judged[layout.PRIORITY * room + j]
    return sum_loss, sum_q_value
