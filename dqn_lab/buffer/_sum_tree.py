"""Sums and minima over many numbers, a few of which change at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Tree:
    """A tree: leaves, then levels of nodes that each combine a few nodes below, and a root that combines the top level.

    A node above a changed leaf is recomputed from its children. Nothing is ever added to or subtracted from a node, so
    rounding errors do not accumulate: the tree depends on its leaves alone, to the bit.

    Args:
        capacity: the number of leaves.
        minimum: whether a node is the minimum of its children (an unset leaf is infinite) instead of their sum.
    """

    def __init__(self, capacity: int, *, minimum: bool = False) -> None:
        from dqn_lab import _numba  # imported late, because it takes long
        from dqn_lab.buffer import _tree_kernels

        self.minimum, self.empty = minimum, np.inf if minimum else 0.0
        fanout = _tree_kernels.FANOUT
        sizes = [-(-capacity // fanout) * fanout]  # whole families of siblings
        while sizes[-1] > fanout:
            sizes.append(-(-sizes[-1] // fanout**2) * fanout)
        self.nodes = np.full(sum(sizes), self.empty)
        self.levels = np.split(self.nodes, np.cumsum(sizes)[:-1])  # views, the leaves first
        self.leaves = self.nodes[:capacity]
        self.shape = self.nodes, np.cumsum([0, *sizes])  # as kernels take it: the nodes, and where each level begins
        indices, values = np.empty(0, np.int64), np.empty(0)
        self._put = _numba.prepare(_tree_kernels.put, *self.shape, minimum, indices, values)
        self._rebuild = _numba.prepare(_tree_kernels.rebuild, *self.shape, minimum)
        self._find = _numba.prepare(_tree_kernels.find, *self.shape, values, minimum, indices, values)

    @property
    def root(self) -> float:
        """All leaves, combined."""
        combine = np.minimum if self.minimum else np.add
        return float(combine.reduce(self.levels[-1]))

    def put(self, indices: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Sets leaves [B]; of several values for one leaf, the last one counts."""
        self._put(*self.shape, self.minimum, indices, values)

    def fill(self, values: NDArray[np.float64]) -> None:
        """Sets the first leaves, and clears all others."""
        self.nodes.fill(self.empty)
        self.leaves[: len(values)] = values
        self._rebuild(*self.shape, self.minimum)


class SumTree(Tree):
    """A tree of sums, in which leaves are drawn in proportion to their value.

    Args:
        capacity: the number of leaves; each leaf is at least 0.
    """

    def find(
        self, fractions: NDArray[np.float64], stratified: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the leaves at which the running sum of all leaves passes given fractions of the root.

        If fractions are uniform in [0, 1), a leaf is found with probability leaf / root.

        Args:
            fractions: [B], in [0, 1]; some leaf must be above 0.
            stratified: whether fraction i is taken of the i-th of B equal parts of the root, not of the whole root.

        Returns:
            leaves, [B], all above 0, and their values, [B].
        """
        leaves, values = np.empty(len(fractions), np.int64), np.empty(len(fractions))
        self._find(*self.shape, fractions, stratified, leaves, values)
        return leaves, values
