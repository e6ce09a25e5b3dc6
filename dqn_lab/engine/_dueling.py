"""The streams of a dueling network in compiled code: joined after the forward pass, parted before the backward one."""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine._layout import TILE
from dqn_lab.engine._simd import fill, lanes, load, store


@inline
def join_streams(outputs, width, tiles):
    """Makes the advantages A of a dueling network's outputs, which follow its value V, V + A − mean A.

    Args:
        outputs: [tiles, width, TILE].
        width: 1 + actions.
        tiles: how many.
    """
    for tile in range(0, tiles * width * TILE, width * TILE):
        for value in range(tile, tile + TILE, lanes(outputs)):
            shift = load(outputs, value) - _sum_after(outputs, value, width) / fill(outputs.dtype.type(width - 1))
            for i in range(value + TILE, tile + width * TILE, TILE):
                store(outputs, i, load(outputs, i) + shift)


@inline
def part_streams(dy, width, tiles):
    """Makes the gradient at V + A − mean A that at A, and puts that at V before it; the arguments are the same."""
    for tile in range(0, tiles * width * TILE, width * TILE):
        for value in range(tile, tile + TILE, lanes(dy)):
            total = _sum_after(dy, value, width)
            store(dy, value, total)
            mean = total / fill(dy.dtype.type(width - 1))
            for i in range(value + TILE, tile + width * TILE, TILE):
                store(dy, i, load(dy, i) - mean)


@inline
def _sum_after(rows, first, width):
    """Σ over the rows after the first of `width`, for the samples from rows[first] on."""
    summed = fill(rows.dtype.type(0))
    for row in range(1, width):
        summed += load(rows, first + row * TILE)
    return summed
