"""Probabilities of fixed returns in compiled code: logits of atoms for each action, with the cross-entropy."""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.bootstrap import fill_mixture
from dqn_lab.engine.fused.distribution import gather_next, gather_taken, next_action, scatter_taken, zero_or_none
from dqn_lab.engine.fused.elementary import exponential, logarithm
from dqn_lab.engine.fused.layers import clear
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import backward, forward, num_values, output_width
from dqn_lab.engine.fused.simd import fill, lanes, larger, load, multiply_add, store, view
from dqn_lab.engine.fused.update import Parts
from dqn_lab.engine.fused.workspace import part


@inline
def atoms(plan, settings):
    """Returns the first atom, and the distance between neighbours."""
    return settings[layout.V_MIN], (settings[layout.V_MAX] - settings[layout.V_MIN]) / (plan[layout.NUM_OUTPUTS] - 1)


@inline
def mean(out, samples, purpose, plan, settings, space):
    """out[b, a] = Σ p z, of some samples' outputs in `LAST`."""
    outputs, size, num_actions = part(space, plan, layout.LAST), plan[layout.NUM_OUTPUTS], plan[layout.NUM_ACTIONS]
    width, values, result = output_width(purpose, plan), num_values(plan), part(space, plan, layout.TAKEN)
    number, (low, step) = space.dtype.type, atoms(plan, settings)
    for first in range(0, len(samples), lanes(outputs)):
        for a in range(num_actions):
            begin = (first // TILE * width + values + a * size) * TILE + first % TILE
            top = _largest(outputs, begin, size)
            total = weighted = fill(number(0))
            for i in range(size):
                mass = exponential(load(outputs, begin + i * TILE) - top)
                total += mass
                weighted = multiply_add(mass, fill(number(low + i * step)), weighted)
            store(result, 0, weighted / total)
            for j in range(first, min(first + lanes(outputs), len(samples))):
                out[samples[j] * num_actions + a] = result[j - first]


@inline
def _largest(x, begin, size):
    """Returns the largest of each sample's numbers."""
    top = load(x, begin)
    for i in range(begin + TILE, begin + size * TILE, TILE):
        top = larger(top, load(x, i))
    return top


@inline
def target(action, reward, discount, rows, plan, settings, space):
    """Projects the mixture of the atoms reward + bonus + discount · (z + shift) on the support: `TARGET` [B, K].

    The arguments are those of `expected.target`.
    """
    goals, size = part(space, plan, layout.TARGET), plan[layout.NUM_OUTPUTS]
    fill_mixture(part(space, plan, layout.PASS_Q_VALUES), action, rows, plan, settings, space)
    clear(view(goals, 0, len(rows) * size))
    for first in range(0, len(rows), TILE):
        for mixed in range(plan[layout.NUM_MIXED]):
            gather_next(first, mixed, len(rows), plan, space)
            _soften(plan, space)
            for sample in range(first, min(first + TILE, len(rows))):
                _project(sample, mixed, rows, reward, discount, plan, settings, space)


@inline
def _soften(plan, space):
    """Converts the logits in the first tile of `TAKEN` to probabilities."""
    x, size = part(space, plan, layout.TAKEN), plan[layout.NUM_OUTPUTS]
    for lane in range(0, TILE, lanes(x)):
        top, total = _largest(x, lane, size), fill(x.dtype.type(0))
        for i in range(lane, lane + size * TILE, TILE):
            mass = exponential(load(x, i) - top)
            total += mass
            store(x, i, mass)
        share = fill(x.dtype.type(1)) / total
        for i in range(lane, lane + size * TILE, TILE):
            store(x, i, load(x, i) * share)


@inline
def _project(sample, mixed, rows, reward, discount, plan, settings, space):
    """Divides the mass of each atom of a next action between its two neighbours on the support."""
    goals, masses = part(space, plan, layout.TARGET), part(space, plan, layout.TAKEN)
    bonus = part(space, plan, layout.BONUS)
    probabilities, shift = part(space, plan, layout.PROBABILITIES), part(space, plan, layout.NEXT_SHIFT)
    size, lane, number, (low, step) = plan[layout.NUM_OUTPUTS], sample % TILE, space.dtype.type, atoms(plan, settings)
    place = sample * plan[layout.NUM_ACTIONS] + next_action(sample, mixed, plan, space)
    probability, last, to = probabilities[place], size - 1.0, sample * size
    gain, nothing = discount[rows[sample]], zero_or_none(sample, len(rows), plan, space)
    start = (reward[rows[sample]] + bonus[sample] + gain * (low + shift[place]) + nothing - low) / step
    for i in range(size):
        position = start + gain * i  # in atoms, in double precision
        if position < 0:
            position = 0.0
        elif position > last:
            position = last
        index = min(int(position), size - 2) if position == position else 0
        mass, beyond = masses[i * TILE + lane] * probability, number(position - index)
        goals[to + index] += mass * (number(1) - beyond)
        goals[to + index + 1] += mass * beyond


@inline
def judge(action, rows, samples, share, weights, plan, settings, space, priorities):
    """Does what `expected.judge` does: the loss is −Σ target log p, the priority KL(target ‖ p)."""
    tiles = gather_taken(action, rows, samples, plan, space)
    x, goal, judged = part(space, plan, layout.TAKEN), part(space, plan, layout.GOAL), part(space, plan, layout.JUDGED)
    size, room, number = plan[layout.NUM_OUTPUTS], plan[layout.CHUNK_SIZE], space.dtype.type
    low, step = atoms(plan, settings)
    nothing = fill(number(0))
    for j in range(0, tiles * TILE, lanes(x)):
        begin = j // TILE * size * TILE + j % TILE
        top = _largest(x, begin, size)
        total = weighted = goals = entropy = product = nothing
        for i in range(size):
            at = begin + i * TILE
            away, wanted = load(x, at) - top, load(goal, at)
            mass = exponential(away)
            store(x, at, mass)
            total += mass
            weighted = multiply_add(mass, fill(number(low + i * step)), weighted)
            goals += wanted
            product = multiply_add(wanted, away, product)
            entropy = multiply_add(wanted, logarithm(wanted), entropy)
        loss = goals * logarithm(total) - product
        store(judged, layout.LOSS * room + j, loss)
        store(judged, layout.Q_VALUE * room + j, weighted / total)
        store(judged, layout.PRIORITY * room + j, larger(entropy + loss, nothing))
        scale = goals / total
        for i in range(begin, begin + size * TILE, TILE):
            store(x, i, load(x, i) * scale - load(goal, i))
    return scatter_taken(action, rows, samples, share, weights, plan, space, priorities)


PARTS = Parts(forward, backward, mean, target, judge)
