"""Sums and minima over many numbers that change a few at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FANOUT = 32  # wide nodes make few levels, and a batch costs calls of numpy by levels
WIDEST = 2048  # nodes that the root looks through at once


class Tree:
    """Leaves, over them nodes that each combine a few of the level below, and a root that combines the topmost level.

    A node over a changed leaf is computed from its children again. Nothing is ever added to a node or taken from it, so
    that no rounding gathers: a tree is the same to the bit however its leaves came to be what they are.

    Args:
        capacity: leaves.
        combine: what a node is of its children: `np.add` or `np.minimum`.
        empty: a leaf that was not set: 0 for a sum, infinity for a minimum.
        fanout: children of a node, at least 2.
        widest: nodes of the topmost level at most, at least `fanout`.
    """

    def __init__(
        self, capacity: int, combine: np.ufunc, empty: float, *, fanout: int = FANOUT, widest: int = WIDEST
    ) -> None:
        self.combine, self.empty, self.fanout = combine, empty, fanout
        sizes = [-(-capacity // fanout) * fanout]  # whole families of siblings
        while sizes[-1] > widest:
            sizes.append(-(-sizes[-1] // fanout**2) * fanout)
        self.nodes = np.full(sum(sizes), empty)
        self.levels = np.split(self.nodes, np.cumsum(sizes)[:-1])  # views, the leaves first
        self.leaves = self.nodes[:capacity]

    @property
    def root(self) -> float:
        """All leaves, combined."""
        return float(self.combine.reduce(self.levels[-1]))

    def put(self, indices: NDArray[np.int64] | int, values: NDArray[np.float64] | float) -> None:
        """Sets leaves [B]; of several values for one leaf the last one stays."""
        self.leaves[indices] = values
        for children, parents in pairwise(self.levels):
            indices = indices // self.fanout
            siblings = children.reshape(-1, self.fanout).take(indices, axis=0)  # [B, fanout]
            parents[indices] = self.combine.reduce(siblings, axis=-1)

    def fill(self, values: NDArray[np.float64]) -> None:
        """Sets the first leaves, and empties all others."""
        self.nodes.fill(self.empty)
        self.leaves[: len(values)] = values
        for children, parents in pairwise(self.levels):
            combined = self.combine.reduce(children.reshape(-1, self.fanout), axis=-1)
            parents[: len(combined)] = combined


class SumTree(Tree):
    """A tree of sums, in which leaves are found by their share of the whole.

    Args:
        capacity: leaves; each at least 0.
        fanout: children of a node, at least 2.
        widest: nodes of the topmost level at most, at least `fanout`.
    """

    def __init__(self, capacity: int, *, fanout: int = FANOUT, widest: int = WIDEST) -> None:
        super().__init__(capacity, np.add, 0.0, fanout=fanout, widest=widest)

    def find(self, fractions: NDArray[np.float64]) -> NDArray[np.int64]:
        """Gives the leaves at which the running sum of them all passes fractions of the root.

        Of fractions spread evenly over [0, 1) a leaf has the share leaf / root.

        Args:
            fractions: [B], in [0, 1]; some leaf must be above 0.

        Returns:
            [B], leaves above 0 only.
        """
        before = np.zeros(len(self.levels[-1]) + 1)  # the sum over the nodes before each
        np.cumsum(self.levels[-1], out=before[1:])
        masses = _inside(fractions * before[-1], before[-1])  # [B]
        nodes = before[1:].searchsorted(masses, side="right")  # [B]
        masses = masses - before[nodes]
        rows = np.arange(len(fractions))
        sums = np.zeros((len(fractions), self.fanout + 1))  # [B, fanout + 1], the same for siblings
        for level in reversed(self.levels[:-1]):
            np.cumsum(level.reshape(-1, self.fanout).take(nodes, axis=0), axis=1, out=sums[:, 1:])
            masses = _inside(masses, sums[:, -1])
            chosen = (sums[:, 1:] > masses[:, None]).argmax(axis=1)  # [B], the first that passes
            masses = masses - sums[rows, chosen]
            nodes = nodes * self.fanout + chosen
        return nodes


def _inside(masses: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keeps what was rounded up from leading past the last node that holds anything."""
    inside: NDArray[np.float64] = np.minimum(masses, np.nextafter(total, 0.0))
    return inside
