"""Prioritised replay in compiled code: a tree's nodes, priorities, and importance weights.

A tree is one flat array: its leaves, then the nodes above them, level by level. A level's nodes are
families of `FANOUT` siblings; the parent of node i is node i // FANOUT of the next level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dqn_lab._numba import inline, kernel

BITS = 3  # of an index among siblings
FANOUT = 1 << BITS  # a family of siblings fills a cache line


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Asks the processor to load array[index] into its cache, without waiting for it."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        address = builder.bitcast(
            cgutils.get_item_pointer2(context, builder, made.data, [], [], "C", [args[1]], False, False),
            ir.IntType(8).as_pointer(),
        )
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, word(0), word(3), word(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.none(array, types.intp), lower


@kernel
def put(nodes, starts, minimum, indices, values):
    """Sets leaves, then recomputes the nodes above them from their children.

    Args:
        nodes: float64, changed in place.
        starts: int64 [levels + 1], where each level begins in `nodes`, then where the last level ends.
        minimum: whether a node is the minimum of its children instead of their sum.
        indices: int64 [B].
        values: float64 [B]; of several values for one leaf, the last one counts.
    """
    for i in range(len(indices)):
        nodes[indices[i]] = values[i]
    for level in range(len(starts) - 2):
        before = -1
        for i in range(len(indices)):
            parent = indices[i] >> BITS * (level + 1)  # a division would take a third of the time
            if parent != before:  # leaves drawn in order often share a parent
                _combine(nodes, starts[level] + parent * FANOUT, starts[level + 1] + parent, minimum)
            before = parent


@kernel
def rebuild(nodes, starts, minimum):
    """Computes every node from its children; the arguments are those of `put`."""
    for level in range(len(starts) - 2):
        for parent in range((starts[level + 1] - starts[level]) // FANOUT):
            _combine(nodes, starts[level] + parent * FANOUT, starts[level + 1] + parent, minimum)


@kernel
def find(nodes, starts, fractions, stratified, leaves, masses):
    """Finds the leaves at which the running sum of all leaves passes given fractions of their total, and their values.

    All searches go down one level together, four at a time in the processor's vectors, and prefetch what they read
    next, so that the processor waits for many nodes at a time.

    Args:
        nodes, starts: a tree of sums, in which some leaf is above 0.
        fractions: float64 [B], in [0, 1].
        stratified: whether fraction i is taken of the i-th of B equal parts of the total, not of the whole total.
        leaves: int64 [B], filled.
        masses: float64 [B], filled.
    """
    top, size = len(starts) - 2, len(fractions)
    whole = 0.0
    for node in range(starts[top], starts[top + 1]):
        whole += nodes[node]
    for i in range(size):
        leaves[i] = 0
        masses[i] = whole * ((i + fractions[i]) / size if stratified else fractions[i])
    for level in range(top, -1, -1):
        for i in range(0, size - size % 4, 4):
            beyond = _descend_four(nodes, starts[level], leaves, masses, i)
            for j in range(i, i + 4 if beyond else i):
                _turn_back(nodes, starts[level], leaves, masses, j, beyond >> (j - i) & 1)
        for i in range(size - size % 4, size):
            beyond = _descend(nodes, starts[level], leaves, masses, i)
            _turn_back(nodes, starts[level], leaves, masses, i, beyond)
        for i in range(size if level else 0):
            prefetch(nodes, starts[level - 1] + leaves[i] * FANOUT)
    for i in range(size):
        masses[i] = nodes[leaves[i]]


@inline
def _descend(nodes, start, leaves, masses, i):
    """Moves a search down to the child at which the running sum passes its mass, and subtracts the sum before that.

    Returns:
        whether rounding led beyond all children.
    """
    first, before, reached, chosen = start + leaves[i] * FANOUT, 0.0, 0.0, 0
    for node in range(first, first + FANOUT):
        reached += nodes[node]
        passed = reached <= masses[i]
        chosen += passed
        before = reached if passed else before
    masses[i] -= before
    leaves[i] = leaves[i] * FANOUT + chosen
    return chosen == FANOUT


@intrinsic
def _descend_four(typing: Any, nodes: Any, start: Any, leaves: Any, masses: Any, i: Any) -> Any:
    """Does what `_descend` does, bit for bit, for four searches starting at i; returns a bit for each."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word, index = ir.IntType(64), ir.IntType(32)
        longs, doubles = ir.VectorType(word, 4), ir.VectorType(ir.DoubleType(), 4)

        def pointer(which: int, at: Any, kind: Any) -> Any:
            made = context.make_array(sig.args[which])(context, builder, args[which])
            return builder.bitcast(builder.gep(made.data, [at]), kind.as_pointer())

        def fanout_times(vector: Any) -> Any:
            return builder.mul(vector, ir.Constant(longs, [FANOUT] * 4))

        leaf_at, mass_at = pointer(2, args[4], longs), pointer(3, args[4], doubles)
        leaf, mass = fanout_times(builder.load(leaf_at, align=8)), builder.load(mass_at, align=8)
        firsts = [builder.add(args[1], builder.extract_element(leaf, ir.Constant(index, lane))) for lane in range(4)]
        reached = before = ir.Constant(doubles, [0.0] * 4)
        chosen = ir.Constant(longs, [0] * 4)
        for half in range(0, FANOUT, 4):
            halves = [pointer(0, builder.add(first, ir.Constant(word, half)), doubles) for first in firsts]
            for child in _transpose(builder, [builder.load(at, align=8) for at in halves]):
                reached = builder.fadd(reached, child)
                passed = builder.fcmp_ordered("<=", reached, mass)
                chosen = builder.sub(chosen, builder.sext(passed, longs))
                before = builder.select(passed, reached, before)
        builder.store(builder.fsub(mass, before), mass_at, align=8)
        builder.store(builder.add(leaf, chosen), leaf_at, align=8)
        beyond = builder.icmp_signed("==", chosen, ir.Constant(longs, [FANOUT] * 4))
        return builder.zext(builder.bitcast(beyond, ir.IntType(4)), word)

    return types.int64(nodes, types.intp, leaves, masses, types.intp), lower


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Returns the columns of four vectors of four numbers."""

    def shuffle(one: Any, other: Any, *order: int) -> Any:
        return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), 4), order))

    pairs = [shuffle(*rows[i : i + 2], *order) for order in ((0, 4, 2, 6), (1, 5, 3, 7)) for i in (0, 2)]
    return [shuffle(*pairs[i : i + 2], *order) for order in ((0, 1, 4, 5), (2, 3, 6, 7)) for i in (0, 2)]


@inline
def _turn_back(nodes, start, leaves, masses, i, beyond):
    """Moves a search that went beyond all children back to the last of them that is above 0."""
    if beyond:
        family = leaves[i] // FANOUT - 1
        chosen, masses[i] = _last(nodes, start + family * FANOUT)
        leaves[i] = family * FANOUT + chosen


@inline
def _last(nodes, first):
    """Returns the last sibling above 0 and its value, for when rounding led beyond the siblings' sum."""
    for child in range(FANOUT - 1, -1, -1):
        if nodes[first + child] > 0:
            return child, nodes[first + child]
    return 0, nodes[first]


@kernel
def rank(td_errors, epsilon, exponent, masses):
    """Fills in (|δ| + ε)^α.

    Args:
        td_errors: |δ|, float64 [B].
        epsilon: ε.
        exponent: α.
        masses: float64 [B], filled.

    Returns:
        the least and the largest |δ|; NaN if any is NaN.
    """
    low, high = np.inf, -np.inf
    for i in range(len(td_errors)):
        td_error = td_errors[i]
        if td_error != td_error:
            return td_error, td_error
        low, high = min(low, td_error), max(high, td_error)
        masses[i] = (td_error + epsilon) ** exponent
    return low, high


@kernel
def weigh(masses, least, exponent, weights):
    """Fills in (p / p_least)^−β: the importance weights (N · P)^−β divided by the largest; N and Σ p cancel out.

    Args:
        masses: p, float64 [B].
        least: the smallest p, which gets weight 1; 0 for the smallest of `masses`.
        exponent: β.
        weights: float32 [B], filled.
    """
    if least == 0:
        least = masses[0]
        for i in range(1, len(masses)):
            least = min(least, masses[i])
    for i in range(len(masses)):
        weights[i] = (masses[i] / least) ** -exponent


@inline
def _combine(nodes, first, parent, minimum):
    """Sets a node to the sum or the least of its children."""
    combined = nodes[first]
    if minimum:
        for child in range(first + 1, first + FANOUT):
            combined = min(combined, nodes[child])
    else:
        for child in range(first + 1, first + FANOUT):
            combined += nodes[child]
    nodes[parent] = combined
