from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer._sum_tree import SumTree, Tree

FANOUTS = [2, 3, 8]
PRIORITIES = st.floats(1e-6, 1e6)


def changes(capacity, values=PRIORITIES):
    """Lists of batches of (leaf, value) to put, one after another."""
    batch = st.lists(st.tuples(st.integers(0, capacity - 1), values), min_size=1, max_size=9)
    return st.lists(batch, max_size=8)


def put(tree, batch):
    indices, values = zip(*batch, strict=True)
    tree.put(np.array(indices), np.array(values))


def test_a_binary_tree_by_hand():
    """Leaves 1 2 3 4 5 and a sixth that is empty, sums of pairs 3 7 5 and an empty fourth, of those 10 and 5: 15."""
    tree = SumTree(5, fanout=2)
    tree.put(np.arange(5), np.arange(1.0, 6.0))
    assert [level.tolist() for level in tree.levels] == [[1, 2, 3, 4, 5, 0], [3, 7, 5, 0], [10, 5]]
    assert tree.root == 15


def test_a_changed_leaf_changes_the_sums_over_it_alone():
    tree = SumTree(5, fanout=2)
    tree.put(np.arange(5), np.arange(1.0, 6.0))
    tree.put(np.array([2]), np.array([9.0]))
    assert [level.tolist() for level in tree.levels] == [[1, 2, 9, 4, 5, 0], [3, 13, 5, 0], [16, 5]]


def test_leaves_are_found_by_hand():
    """Running sums 1 3 6 10 15: leaf 0 is found below 1 of 15, leaf 1 below 3, leaf 2 below 6, leaf 3 below 10."""
    tree = SumTree(5, fanout=2)
    tree.put(np.arange(5), np.arange(1.0, 6.0))
    masses = [0, 0.9, 1.1, 2.9, 3.1, 5.9, 6.1, 9.9, 10.1, 14.9]
    assert tree.find(np.array(masses) / 15)[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_tree_of_minima_by_hand():
    tree = Tree(5, minimum=True, fanout=2)
    tree.put(np.array([0, 1, 4]), np.array([4.0, 3.0, 5.0]))
    assert [level.tolist() for level in tree.levels[1:]] == [[3, math.inf, 5, math.inf], [3, 5]]
    tree.put(np.array([1]), np.array([7.0]))
    assert tree.root == 4


def test_of_several_values_for_one_leaf_the_last_stays():
    tree = SumTree(3)
    tree.put(np.array([1, 2, 1, 1]), np.array([5.0, 6.0, 7.0, 8.0]))
    assert tree.leaves.tolist() == [0, 8, 6]
    assert tree.root == 14


@pytest.mark.parametrize("fanout", FANOUTS)
@given(data=st.data(), capacity=st.integers(1, 70))
def test_the_root_is_the_sum_of_the_leaves(fanout, data, capacity):
    """Of whole numbers, whose sums are exact in any order."""
    tree, leaves = SumTree(capacity, fanout=fanout), np.zeros(capacity)
    for batch in data.draw(changes(capacity, st.integers(0, 10**6))):
        put(tree, batch)
        for index, value in batch:
            leaves[index] = value
        assert tree.leaves.tolist() == leaves.tolist()
        assert tree.root == leaves.sum()


@pytest.mark.parametrize("fanout", FANOUTS)
@pytest.mark.parametrize("minimum", [False, True])
@given(data=st.data(), capacity=st.integers(1, 70))
def test_no_rounding_gathers(fanout, minimum, data, capacity):
    """Every node, after any changes, is to the bit the one of a tree that was given the leaves at once."""
    tree, other = (Tree(capacity, minimum=minimum, fanout=fanout) for _ in range(2))
    for batch in data.draw(changes(capacity)):
        put(tree, batch)
    other.fill(tree.leaves)
    assert other.nodes.tolist() == tree.nodes.tolist()


@pytest.mark.parametrize("capacity", [5_000, 70_000])
def test_no_rounding_gathers_in_large_trees(capacity):
    tree, other, rng = SumTree(capacity), SumTree(capacity), np.random.default_rng(0)
    for size in (1, 2, 64, 3000) * 5:
        tree.put(rng.integers(capacity, size=size), rng.exponential(size=size))
        tree.put(rng.integers(capacity, size=1), rng.exponential(size=1))
    other.fill(tree.leaves)
    assert len(tree.levels) >= 2
    assert np.array_equal(other.nodes, tree.nodes)
    assert tree.root == pytest.approx(math.fsum(tree.leaves), rel=1e-12)


@pytest.mark.parametrize("fanout", FANOUTS)
@given(data=st.data(), capacity=st.integers(1, 70))
def test_no_empty_leaf_is_found(fanout, data, capacity):
    """Not even where rounding leads to the very end, and with numbers of very different sizes."""
    values = st.sampled_from([0.0, 1e-300, 1e-9, 0.1, 1 / 3, 1e9])
    leaves = data.draw(st.lists(values, min_size=1, max_size=capacity).filter(any))
    tree = SumTree(capacity, fanout=fanout)
    tree.fill(np.array(leaves))
    fractions = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    assert tree.leaves[tree.find(np.array([*fractions, 0.0, np.nextafter(1.0, 0.0), 1.0]))[0]].all()


@pytest.mark.parametrize("fanout", FANOUTS)
@given(leaves=st.lists(st.integers(0, 9), min_size=1, max_size=70).filter(any), data=st.data())
def test_leaves_are_found_where_running_sums_pass(fanout, leaves, data):
    tree, reached = SumTree(len(leaves), fanout=fanout), np.cumsum(leaves)
    tree.fill(np.array(leaves, float))
    masses = np.array(data.draw(st.lists(st.integers(0, int(reached[-1]) - 1), min_size=1, max_size=20))) + 0.5
    assert tree.find(masses / reached[-1])[0].tolist() == reached.searchsorted(masses, side="right").tolist()


def test_filling_empties_what_was_there_before():
    tree = SumTree(100, fanout=2)
    tree.put(np.arange(100), np.ones(100))
    tree.fill(np.array([1.0, 2.0]))
    assert tree.root == 3
    assert tree.leaves.sum() == 3
