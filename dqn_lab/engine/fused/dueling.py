"""The streams of a dueling network in compiled code: joined after the forward pass, split before the backward pass.

A dueling network's outputs are K values, one for each of an action's outputs, then the A · K advantages.
"""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.simd import fill, lanes, load, store


@inline
def join_streams(outputs, num_actions, num_outputs, tiles):
    """Replaces the advantages A, stored after the values V, with V + A − mean A, for each output separately.

    Args:
        outputs: [tiles, (1 + A) · K, TILE].
        num_actions: A.
        num_outputs: K.
        tiles: the number of tiles.
    """
    step = num_outputs * TILE
    size = (1 + num_actions) * step
    for tile in range(0, tiles * size, size):
        for value in range(tile, tile + step, lanes(outputs)):
            mean = _sum_advantages(outputs, value, step, size) / fill(outputs.dtype.type(num_actions))
            shift = load(outputs, value) - mean
            for i in range(value + step, value + size, step):
                store(outputs, i, load(outputs, i) + shift)


@inline
def part_streams(dy, num_actions, num_outputs, tiles):
    """Turns the gradient at V + A − mean A into that at A, preceded by that at V; the arguments are the same."""
    step = num_outputs * TILE
    size = (1 + num_actions) * step
    for tile in range(0, tiles * size, size):
        for value in range(tile, tile + step, lanes(dy)):
            total = _sum_advantages(dy, value, step, size)
            store(dy, value, total)
            mean = total / fill(dy.dtype.type(num_actions))
            for i in range(value + step, value + size, step):
                store(dy, i, load(dy, i) - mean)


@inline
def _sum_advantages(rows, value, step, size):
    """Returns Σ over actions, for the samples and the output whose value is at rows[value]."""
    summed = fill(rows.dtype.type(0))
    for i in range(value + step, value + size, step):
        summed += load(rows, i)
    return summed
