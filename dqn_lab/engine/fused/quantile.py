"""Equally likely returns in compiled code: quantiles for each action, with the quantile Huber loss."""

from __future__ import annotations

from typing import Any

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.bootstrap import fill_mixture
from dqn_lab.engine.fused.distribution import gather_taken, next_action, scatter_taken, zero_or_none
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import backward, forward, num_values, output_place, output_width
from dqn_lab.engine.fused.simd import fill, lanes, larger, load, multiply_add, smaller, store
from dqn_lab.engine.fused.update import Parts
from dqn_lab.engine.fused.workspace import part


@inline
def mean(out, samples, purpose, plan, settings, space):
    """out[b, a] = the mean of some samples' outputs in `LAST`."""
    outputs, size, num_actions = part(space, plan, layout.LAST), plan[layout.COUNTS + purpose], plan[layout.NUM_ACTIONS]
    width, values, number = output_width(purpose, plan), num_values(plan), space.dtype.type
    for j in range(len(samples)):
        at = output_place(j, width, values)
        for a in range(num_actions):
            total = number(0)
            for i in range(at + a * size * TILE, at + (a + 1) * size * TILE, TILE):
                total += outputs[i]
            out[samples[j] * num_actions + a] = total / number(size)


@inline
def target(action, reward, discount, rows, plan, settings, space):
    """TARGET[b] = the samples reward + bonus + discount · (θ + shift), [mixed, K], each action's followed by a weight.

    The arguments are those of `expected.target`.
    """
    goals, outputs = part(space, plan, layout.TARGET), part(space, plan, layout.NEXT_OUTPUTS)
    probabilities, shift = part(space, plan, layout.PROBABILITIES), part(space, plan, layout.NEXT_SHIFT)
    bonus, number, size = part(space, plan, layout.BONUS), space.dtype.type, plan[layout.COUNTS + layout.TARGET_NOISE]
    fill_mixture(part(space, plan, layout.PASS_Q_VALUES), action, rows, plan, settings, space)
    for sample in range(len(rows)):
        row, nothing = rows[sample], zero_or_none(sample, len(rows), plan, space)
        for mixed in range(plan[layout.NUM_MIXED]):
            place = sample * plan[layout.NUM_ACTIONS] + next_action(sample, mixed, plan, space)
            to, gain = sample * plan[layout.TARGET_SIZE] + mixed * (size + 1), number(discount[row])
            base = number(reward[row]) + bonus[sample] + gain * shift[place] + nothing
            for i in range(size):
                goals[to + i] = base + gain * outputs[place * size + i]
            goals[to + size] = probabilities[place] / number(size)


@inline
def midpoint(i, j, plan, space):
    """Returns the fraction for which the i-th quantile stands, for some samples from j on."""
    return fill(space.dtype.type((i + 0.5) / plan[layout.NUM_OUTPUTS]))


@inline
def regress(quantile, above, below, j, plan, settings, space):
    """Compares one quantile of some samples with their targets in `GOAL`.

    Args:
        quantile: θ.
        above, below: τ / κ and (1 − τ) / κ, for targets above and below the quantile.
        j: the first of the samples.

    Returns:
        The loss, its derivative by θ, and |δ|, each averaged over the targets.
    """
    size = plan[layout.COUNTS + layout.TARGET_NOISE]
    goal, number, kappa = part(space, plan, layout.GOAL), space.dtype.type, settings[layout.KAPPA]
    most, least, half, nothing = fill(number(kappa)), fill(number(-kappa)), fill(number(-0.5)), fill(number(0))
    loss = slope = distance = nothing
    at = j // TILE * plan[layout.TARGET_SIZE] * TILE + j % TILE
    for _ in range(plan[layout.NUM_MIXED]):
        high = low = over = under = away = nothing
        for _ in range(size):
            error = load(goal, at) - quantile
            up, down = smaller(larger(error, nothing), most), larger(smaller(error, nothing), least)
            high, low, away = high + up, low + down, away + larger(error, nothing - error)
            over = multiply_add(up, multiply_add(up, half, error), over)
            under = multiply_add(down, multiply_add(down, half, error), under)
            at += TILE
        weight = load(goal, at)
        loss = multiply_add(weight, multiply_add(above, over, below * under), loss)
        slope = slope - weight * multiply_add(above, high, below * low)
        distance = multiply_add(weight, away, distance)
        at += TILE
    return loss, slope, distance


def make_judge(fraction: Any) -> Any:
    """Makes `judge` for quantiles at the fractions that `fraction` returns, as `midpoint` does."""

    @inline
    def judge(action, rows, samples, share, weights, plan, settings, space, priorities):
        """Does what `expected.judge` does: the loss is Σ_i mean_j of Huber at δ_ij by τ, the priority mean |δ_ij|."""
        tiles = gather_taken(action, rows, samples, plan, space)
        x, judged, number = part(space, plan, layout.TAKEN), part(space, plan, layout.JUDGED), space.dtype.type
        size, room = plan[layout.COUNTS + layout.ONLINE], plan[layout.CHUNK_SIZE]
        unit, one = fill(number(1 / settings[layout.KAPPA])), fill(number(1))
        for j in range(0, tiles * TILE, lanes(x)):
            begin = j // TILE * size * TILE + j % TILE
            loss = distance = q_value = fill(number(0))
            for i in range(size):
                quantile, tau = load(x, begin + i * TILE), fraction(i, j, plan, space)
                compared = regress(quantile, tau * unit, (one - tau) * unit, j, plan, settings, space)
                loss, distance, q_value = loss + compared[0], distance + compared[2], q_value + quantile
                store(x, begin + i * TILE, compared[1])
            count = fill(number(size))
            store(judged, layout.LOSS * room + j, loss)
            store(judged, layout.Q_VALUE * room + j, q_value / count)
            store(judged, layout.PRIORITY * room + j, distance / count)
        return scatter_taken(action, rows, samples, share, weights, plan, space, priorities)

    return judge


PARTS = Parts(forward, backward, mean, target, make_judge(midpoint))
