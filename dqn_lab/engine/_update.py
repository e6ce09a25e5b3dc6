"""The two kernels that the fused engine calls: Q-values, and a whole update."""

from __future__ import annotations

import numpy as np

from dqn_lab.engine._kernels import backward, collect, forward
from dqn_lab.engine._layout import (
    ACTIVATION,
    ALL_ACTIONS,
    CHUNK,
    DOUBLE,
    HUBER,
    KAPPA,
    LAYER_NORM,
    NUMBER,
    RULE,
    TILE,
    WIDTHS,
)
from dqn_lab.engine._numba import inline, kernel
from dqn_lab.engine._rules import descend


@kernel
def q_values(out, obs, rows, params, plan, space):
    """out[b] = Q(obs[rows[b]], ·).

    Args:
        out: [B, A].
        obs: [N, I].
        rows: [B].
        params: the network's, flat.
        plan: choices and widths.
        space: room for `space_needed(widths, 0)` numbers.
    """
    widths, num_actions = plan[WIDTHS:], plan[-1]
    x, normal, scale, _ = _activations(space, widths)
    for start in range(0, len(rows), CHUNK * TILE):
        chosen = rows[start : start + CHUNK * TILE]
        begin = _forward(x, normal, scale, obs, chosen, params, plan)
        for j in range(len(chosen)):
            for a in range(num_actions):
                out[start + j, a] = x[begin + (j // TILE * num_actions + a) * TILE + j % TILE]


@kernel
def update(
    obs, action, reward, next_obs, discount, rows, weights, order, minibatch_size, lr,
    online, target, state, plan, settings, space, priorities,
):  # fmt: skip
    """Computes the targets of a whole batch, then takes a gradient step on each minibatch of it.

    Args:
        obs, action, reward, next_obs, discount: all that is stored, observations as [N, I].
        rows: [B], where the batch's transitions are.
        weights: [B], or empty where all are 1.
        order: [B], the samples in the order in which minibatches of `minibatch_size` take them.
        lr: the learning rate.
        online, target: both networks' parameters, flat; one array where there is no target network.
        state: [3, parameters]: the optimiser's two moments, and the last gradient.
        plan: choices and widths; its number of gradient steps goes on counting.
        settings: float64, the optimiser's and κ.
        space: room for `space_needed(widths, B)` numbers.
        priorities: [B], filled with each sample's |δ|.

    Returns:
        loss and Q(s, a), averaged over the batch.
    """
    batch_size, grad = len(rows), state[2]
    goals, space = space[:batch_size], space[batch_size:]
    size = batch_size * plan[-1]
    outputs, space = space[: 3 * size].reshape((3, batch_size, plan[-1])), space[3 * size :]
    evaluated, selected, current = outputs[0], outputs[1], outputs[2]
    for which in range(3):  # one call in a loop is one to compile
        if which == 0 or (which == 1 and plan[DOUBLE]) or (which == 2 and plan[ALL_ACTIONS]):
            q_values(outputs[which], obs if which == 2 else next_obs, rows, online if which else target, plan, space)
    _bootstrap(goals, evaluated, selected if plan[DOUBLE] else evaluated, reward, discount, rows)
    loss = q_value = online.dtype.type(0)
    for start in range(0, batch_size, minibatch_size):
        samples = order[start : start + minibatch_size]
        judged = _gradient(
            grad, obs, action, rows, samples, weights, goals, current, online, plan, settings, space, priorities
        )
        loss, q_value = loss + judged[0], q_value + judged[1]
        plan[NUMBER] += 1
        descend(plan[RULE], lr, settings, online, grad, state[0], state[1], plan[NUMBER])
    return loss / batch_size, q_value / batch_size


@inline
def _gradient(grad, obs, action, rows, samples, weights, goals, current, online, plan, settings, space, priorities):
    """Fills the gradient of some samples' mean loss, chunk by chunk; returns the sums of their losses and Q(s, a)."""
    widths = plan[WIDTHS:]
    widest = num_blocks = 0
    for layer in range(len(widths) - 1):
        widest = max(widest, widths[layer], widths[layer + 1])
        num_blocks += (widths[layer] + TILE - 1) // TILE * TILE * widths[layer + 1]
    zeros, blocks, space = _split(space, widest, num_blocks)
    x, normal, scale, space = _activations(space, widths)
    dy, dx, turned = _split(space, widest * CHUNK * TILE, widest * CHUNK * TILE)
    for i in range(widest):
        zeros[i] = 0
    for i in range(num_blocks):
        blocks[i] = 0
    for i in range(len(grad)):
        grad[i] = 0
    loss = q_value = online.dtype.type(0)
    chosen = np.empty(CHUNK * TILE, np.int64)
    for start in range(0, len(samples), CHUNK * TILE):
        part = samples[start : start + CHUNK * TILE]
        for j in range(len(part)):
            chosen[j] = rows[part[j]]
        begin = _forward(x, normal, scale, obs, chosen[: len(part)], online, plan)
        share = online.dtype.type(1) / len(samples)
        judged = _judge(
            dy, x[begin:], goals, current, action, rows, part, share, weights, plan, settings[KAPPA], priorities
        )
        loss, q_value = loss + judged[0], q_value + judged[1]
        tiles = (len(part) + TILE - 1) // TILE
        backward(
            online, grad, blocks, widths, plan[ACTIVATION], plan[LAYER_NORM], x, normal, scale, begin,
            dy, dx, turned, zeros, tiles,
        )  # fmt: skip
    collect(grad, blocks, widths, plan[LAYER_NORM])
    return loss, q_value


@inline
def _split(space, first, second):
    """Cuts two pieces off."""
    return space[:first], space[first : first + second], space[first + second :]


@inline
def _activations(space, widths):
    """Cuts off room for a chunk's activations, normal forms and scales."""
    features = 0
    for layer in range(len(widths)):
        features += widths[layer]
    size, scales = CHUNK * TILE * features, CHUNK * TILE * len(widths)
    x, normal, rest = _split(space, size, size)
    return x, normal, rest[:scales], rest[scales:]


@inline
def _forward(x, normal, scale, obs, rows, params, plan):
    """Puts observations into the first layer of x, nothing into what pads the last tile, and fills the other layers.

    Returns:
        where in x the outputs begin.
    """
    width, tiles = obs.shape[1], (len(rows) + TILE - 1) // TILE
    for j in range(len(rows)):
        row, to = rows[j], j // TILE * width * TILE + j % TILE
        for i in range(width):
            x[to + i * TILE] = obs[row, i]
    for j in range(len(rows), tiles * TILE):
        for i in range(width):
            x[(j // TILE * width + i) * TILE + j % TILE] = 0
    return forward(params, plan[WIDTHS:], plan[ACTIVATION], plan[LAYER_NORM], x, normal, scale, tiles)


@inline
def _bootstrap(goals, evaluated, selected, reward, discount, rows):
    """goals[b] = reward + discount · evaluated[b, argmax_a selected[b, a]]."""
    for sample in range(len(rows)):
        best = 0
        for a in range(1, selected.shape[1]):
            best = a if selected[sample, a] > selected[sample, best] else best
        goals[sample] = reward[rows[sample]] + discount[rows[sample]] * evaluated[sample, best]


@inline
def _judge(dy, q, goals, current, action, rows, samples, share, weights, plan, kappa, priorities):
    """Sums loss and Q(s, a), notes |δ|, and fills dy with the gradient of `share` of the loss at the outputs q.

    The loss is δ² or Huber's, of the action taken; or the mean over all actions, of which those not taken have what
    they were, `current`, for a goal.
    """
    num_actions, dtype = plan[-1], q.dtype.type
    sum_loss = sum_q_value = dtype(0)
    for i in range((len(samples) + TILE - 1) // TILE * TILE * num_actions):
        dy[i] = 0
    for j in range(len(samples)):
        sample = samples[j]
        taken, weight = action[rows[sample]], weights[sample] if len(weights) else dtype(1)
        at = j // TILE * num_actions * TILE + j % TILE
        loss = dtype(0)
        for a in range(num_actions) if plan[ALL_ACTIONS] else range(taken, taken + 1):
            goal = goals[sample] if a == taken else current[sample, a]
            error = goal - q[at + a * TILE]
            if plan[HUBER]:
                inside = min(abs(error), dtype(kappa))
                loss += inside * (abs(error) - inside / 2)
                slope = inside if error > 0 else -inside
            else:
                loss += error * error
                slope = 2 * error
            dy[at + a * TILE] = -slope
        if plan[ALL_ACTIONS]:
            weight /= num_actions
        for a in range(num_actions):
            dy[at + a * TILE] *= weight * share
        sum_loss += weight * loss
        sum_q_value += q[at + taken * TILE]
        priorities[sample] = abs(goals[sample] - q[at + taken * TILE])
    return sum_loss, sum_q_value
