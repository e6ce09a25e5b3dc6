"""The two kernels that the fused engine calls: Q-values, and a whole update."""

from __future__ import annotations

import math

from dqn_lab._numba import inline, kernel
from dqn_lab.engine._dueling import join_streams, part_streams
from dqn_lab.engine._kernels import backward, collect, forward
from dqn_lab.engine._layout import (
    ACTIVATION,
    ALL_ACTIONS,
    BOOTSTRAP,
    CHUNK,
    CLIP,
    DOUBLE,
    DUELING,
    HUBER,
    KAPPA,
    LAYER_NORM,
    MUNCHAUSEN,
    NUMBER,
    RULE,
    SCALE,
    TEMPERATURE,
    TILE,
    WIDEST,
    WIDTHS,
)
from dqn_lab.engine._rules import descend


@kernel
def q_values(out, obs, rows, order, params, plan, space):
    """out[b] = Q(obs[rows[b]], ·).

    Args:
        out: [B, A].
        obs: [N, I].
        rows: [B].
        order: [B], the order in which 0 … B − 1 are taken.
        params: the network's, flat.
        plan: choices and widths.
        space: room for `space_needed(widths, 0)` numbers.
    """
    widths, num_actions = plan[WIDTHS:], plan[-1] - plan[DUELING]
    x, normal, scale, _ = _activations(space, widths)
    for start in range(0, len(rows), CHUNK * TILE):
        part = order[start : start + CHUNK * TILE]
        tiles = _observe(x, obs, rows, part)
        begin = forward(params, widths, plan[ACTIVATION], plan[LAYER_NORM], x, normal, scale, tiles)
        if plan[DUELING]:
            join_streams(x[begin:], plan[-1], tiles)
        for j in range(len(part)):
            at = begin + (j // TILE * plan[-1] + plan[DUELING]) * TILE + j % TILE
            for a in range(num_actions):
                out[part[j], a] = x[at + a * TILE]


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
    size = batch_size * (plan[-1] - plan[DUELING])
    evaluated, selected, current = space[:size], space[size : 2 * size], space[2 * size : 3 * size]
    followed, goals = space[3 * size : 4 * size], space[4 * size : 4 * size + batch_size]
    space, double, soft = space[4 * size + batch_size :], plan[BOOTSTRAP] == DOUBLE, plan[BOOTSTRAP] == MUNCHAUSEN
    for which in range(4):  # one call in a loop is one to compile
        if which == 0 or (which == 1 and double) or (which == 2 and plan[ALL_ACTIONS]) or (which == 3 and soft):
            out = evaluated if which == 0 else selected if which == 1 else current if which == 2 else followed
            at, network = obs if which >= 2 else next_obs, online if which in (1, 2) else target
            q_values(out.reshape(batch_size, -1), at, rows, order, network, plan, space)
    if soft:
        _soft_bootstrap(goals, evaluated, followed, action, reward, discount, rows, settings)
    else:
        _bootstrap(goals, evaluated, selected if double else evaluated, reward, discount, rows)
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
    widest, num_blocks = plan[WIDEST], 0
    for layer in range(len(widths) - 1):
        num_blocks += (widths[layer] + TILE - 1) // TILE * TILE * widths[layer + 1]
    zeros, blocks, space = space[:widest], space[widest : widest + num_blocks], space[widest + num_blocks :]
    x, normal, scale, space = _activations(space, widths)
    size = widest * CHUNK * TILE
    dy, dx, turned = space[:size], space[size : 2 * size], space[2 * size :]
    for i in range(widest):
        zeros[i] = 0
    for i in range(num_blocks):
        blocks[i] = 0
    for i in range(len(grad)):
        grad[i] = 0
    loss = q_value = online.dtype.type(0)
    for start in range(0, len(samples), CHUNK * TILE):
        part = samples[start : start + CHUNK * TILE]
        tiles = _observe(x, obs, rows, part)
        begin = forward(online, widths, plan[ACTIVATION], plan[LAYER_NORM], x, normal, scale, tiles)
        if plan[DUELING]:
            join_streams(x[begin:], plan[-1], tiles)
        share = online.dtype.type(1) / len(samples)
        judged = _judge(
            dy, x[begin:], goals, current, action, rows, part, share, weights, plan, settings[KAPPA], priorities
        )
        loss, q_value = loss + judged[0], q_value + judged[1]
        if plan[DUELING]:
            part_streams(dy, plan[-1], tiles)
        backward(
            online, grad, blocks, widths, plan[ACTIVATION], plan[LAYER_NORM], x, normal, scale, begin,
            dy, dx, turned, zeros, tiles,
        )  # fmt: skip
    collect(grad, blocks, widths, plan[LAYER_NORM])
    return loss, q_value


@inline
def _activations(space, widths):
    """Cuts off room for a chunk's activations, normal forms and scales."""
    features = 0
    for layer in range(len(widths)):
        features += widths[layer]
    size, scales = CHUNK * TILE * features, CHUNK * TILE * len(widths)
    return space[:size], space[size : 2 * size], space[2 * size : 2 * size + scales], space[2 * size + scales :]


@inline
def _observe(x, obs, rows, part):
    """Puts observations into the first layer of x, and nothing into what pads the last tile; returns the tiles."""
    width, tiles = obs.shape[1], (len(part) + TILE - 1) // TILE
    for j in range(len(part)):
        row, to = rows[part[j]], j // TILE * width * TILE + j % TILE
        for i in range(width):
            x[to + i * TILE] = obs[row, i]
    for j in range(len(part), tiles * TILE):
        for i in range(width):
            x[(j // TILE * width + i) * TILE + j % TILE] = 0
    return tiles


@inline
def _bootstrap(goals, evaluated, selected, reward, discount, rows):
    """goals[b] = reward + discount · evaluated[b, argmax_a selected[b, a]]."""
    num_actions = len(selected) // len(rows)
    for sample in range(len(rows)):
        best = first = sample * num_actions
        for a in range(first + 1, first + num_actions):
            # what is no number is the largest, as torch has it
            better = not selected[a] <= selected[best] and selected[best] == selected[best]
            best = a if better else best
        value = evaluated[best]
        for a in range(first, first + num_actions):
            value += 0 * evaluated[a]  # nothing, unless it is no finite number: that must not go unnoticed
        goals[sample] = reward[rows[sample]] + discount[rows[sample]] * value


@inline
def _soft_bootstrap(goals, evaluated, followed, action, reward, discount, rows, settings):
    """goals[b] = reward + α clip(τ log π(a|s), clip, 0) + discount · τ log Σ exp(evaluated[b, ·] / τ).

    π = softmax(Q / τ) of the target network, whose Q at s are `followed`; Σ π (Q − τ log π) is that logarithm.
    """
    num_actions, number = len(evaluated) // len(rows), evaluated.dtype.type
    temperature = number(settings[TEMPERATURE])
    for sample in range(len(rows)):
        first, row = sample * num_actions, rows[sample]
        value = _soft_max(evaluated, first, num_actions, temperature)
        # τ log π
        policy = followed[first + action[row]] - _soft_max(followed, first, num_actions, temperature)
        low = number(settings[CLIP])
        kept = low if policy < low else number(0) if policy > 0 else policy
        goals[sample] = reward[row] + number(settings[SCALE]) * kept + discount[row] * value


@inline
def _soft_max(q, first, number, temperature):
    """τ log Σ exp(q / τ) over some of q, finite however small τ is."""
    best = q[first]
    for a in range(first + 1, first + number):
        best = max(best, q[a])
    total = q.dtype.type(0)
    for a in range(first, first + number):
        total += math.exp((q[a] - best) / temperature)
    return best + temperature * math.log(total)


@inline
def _judge(dy, q, goals, current, action, rows, samples, share, weights, plan, kappa, priorities):
    """Sums loss and Q(s, a), notes |δ|, and fills dy with the gradient of `share` of the loss at the outputs q.

    The loss is δ² or Huber's, of the action taken; or the mean over all actions, of which those not taken have what
    they were, `current`, for a goal.
    """
    dueling, everything, huber, number = plan[DUELING], plan[ALL_ACTIONS], plan[HUBER], q.dtype.type
    width = plan[-1]  # of the outputs; a dueling network's value is the first
    num_actions = width - dueling
    sum_loss = sum_q_value = number(0)
    limit = number(kappa)
    if everything:
        share /= num_actions
    for i in range((len(samples) + TILE - 1) // TILE * TILE * width):
        dy[i] = 0
    for j in range(len(samples)):
        sample, at = samples[j], (j // TILE * width + dueling) * TILE + j % TILE
        taken, weight, loss = action[rows[sample]], weights[sample] if len(weights) else number(1), number(0)
        for a in range(0 if everything else taken, num_actions if everything else taken + 1):
            error = (goals[sample] if a == taken else current[sample * num_actions + a]) - q[at + a * TILE]
            if huber:
                inside = error if abs(error) <= limit else (limit if error > 0 else -limit)
                loss += inside * error - inside * inside / 2
            else:
                inside = 2 * error
                loss += error * error
            dy[at + a * TILE] = -inside * weight * share
        sum_loss += weight * (loss / num_actions if everything else loss)
        sum_q_value += q[at + taken * TILE]
        priorities[sample] = abs(goals[sample] - q[at + taken * TILE])
    return sum_loss, sum_q_value
