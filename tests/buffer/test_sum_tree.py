from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer._sum_tree import SumTree, Tree

PRIORITIES = st.floats(1e-6, 1e6)


def changes(capacity, values=PRIORITIES):
    """Draws lists of batches of (leaf, value), to put one after another."""
    batch = st.lists(st.tuples(st.integers(0, capacity - 1), values), min_size=1, max_size=9)
    return st.lists(batch, max_size=8)


def put(tree, batch):
    indices, values = zip(*batch, strict=True)
    tree.put(np.array(indices), np.array(values))


def numbered():
    """Returns a tree with leaves 1 2 … 17: two full families of eight and the start of a third."""
    tree = SumTree(17)
    tree.put(np.arange(17), np.arange(1.0, 18.0))
    return tree


def test_a_tree_by_hand():
    """1 + … + 8 = 36, 9 + … + 16 = 100, and 17: 153 in all."""
    tree = numbered()
    leaves, families = [level.tolist() for level in tree.levels]
    assert leaves == [*range(1, 18), 0, 0, 0, 0, 0, 0, 0]
    assert families == [36, 100, 17, 0, 0, 0, 0, 0]
    assert tree.root == 153


def test_a_changed_leaf_changes_the_sums_over_it_alone():
    tree = numbered()
    tree.put(np.array([2]), np.array([9.0]))
    assert tree.leaves[:4].tolist() == [1, 2, 9, 4]
    assert tree.levels[1].tolist() == [42, 100, 17, 0, 0, 0, 0, 0]


def test_leaves_are_found_by_hand():
    """The running sums are 1, 3, 6, …: 36 after eight leaves, 136 after sixteen, 153 in all."""
    masses = [0, 0.9, 1.1, 2.9, 3.1, 35.9, 36.1, 44.9, 45.1, 135.9, 136.1, 152.9]
    leaves = [0, 0, 1, 1, 2, 7, 8, 8, 9, 15, 16, 16]
    assert numbered().find(np.array(masses) / 153)[0].tolist() == leaves


@given(st.integers(1, 700), st.integers(1, 9), st.integers(0, 99))
def test_several_searches_find_together_what_each_finds_alone(capacity, number, seed):
    """Four searches at a time are vectorised, the rest are not; rounding leads some beyond the last leaf."""
    tree, rng = SumTree(capacity), np.random.default_rng(seed)
    masses = rng.random(capacity) ** 40 * rng.integers(0, 2, capacity)
    masses[seed % capacity] += 1e-9
    tree.fill(masses)
    fractions = rng.choice([0.0, 0.1, 1 - 2**-53, 1.0, rng.random()], number)
    leaves, values = tree.find(fractions)
    alone = [tree.find(fractions[i : i + 1]) for i in range(number)]
    assert leaves.tolist() == [leaf for ((leaf,), _) in alone]
    assert values.tolist() == [value for (_, (value,)) in alone]
    assert values.min() > 0


def test_a_tree_of_minima_by_hand():
    tree = Tree(17, minimum=True)
    tree.put(np.array([0, 1, 16]), np.array([4.0, 3.0, 5.0]))
    assert tree.levels[1].tolist() == [3, math.inf, 5, *[math.inf] * 5]
    assert tree.root == 3
    tree.put(np.array([1]), np.array([7.0]))
    assert tree.root == 4


def test_of_several_values_for_one_leaf_the_last_stays():
    tree = SumTree(3)
    tree.put(np.array([1, 2, 1, 1]), np.array([5.0, 6.0, 7.0, 8.0]))
    assert tree.leaves.tolist() == [0, 8, 6]
    assert tree.root == 14


@given(data=st.data(), capacity=st.integers(1, 600))
def test_the_root_is_the_sum_of_the_leaves(data, capacity):
    """With integers, whose sums are exact in any order."""
    tree, leaves = SumTree(capacity), np.zeros(capacity)
    for batch in data.draw(changes(capacity, st.integers(0, 10**6))):
        put(tree, batch)
        for index, value in batch:
            leaves[index] = value
        assert tree.leaves.tolist() == leaves.tolist()
        assert tree.root == leaves.sum()


@pytest.mark.parametrize("minimum", [False, True])
@given(data=st.data(), capacity=st.integers(1, 600))
def test_rounding_errors_do_not_accumulate(minimum, data, capacity):
    """After any changes, every node equals bit for bit that of a tree filled with the leaves in one call."""
    tree, other = (Tree(capacity, minimum=minimum) for _ in range(2))
    for batch in data.draw(changes(capacity)):
        put(tree, batch)
    other.fill(tree.leaves)
    assert other.nodes.tolist() == tree.nodes.tolist()


@pytest.mark.parametrize("capacity", [5_000, 70_000])
def test_rounding_errors_do_not_accumulate_in_large_trees(capacity):
    tree, other, rng = SumTree(capacity), SumTree(capacity), np.random.default_rng(0)
    for size in (1, 2, 64, 3000) * 5:
        tree.put(rng.integers(capacity, size=size), rng.exponential(size=size))
        tree.put(rng.integers(capacity, size=1), rng.exponential(size=1))
    other.fill(tree.leaves)
    assert len(tree.levels) >= 2
    assert np.array_equal(other.nodes, tree.nodes)
    assert tree.root == pytest.approx(math.fsum(tree.leaves), rel=1e-12)


@given(data=st.data(), capacity=st.integers(1, 600))
def test_no_empty_leaf_is_found(data, capacity):
    """Also if rounding leads to the very end, and with values of very different magnitudes."""
    values = st.sampled_from([0.0, 1e-300, 1e-9, 0.1, 1 / 3, 1e9])
    leaves = data.draw(st.lists(values, min_size=1, max_size=capacity).filter(any))
    tree = SumTree(capacity)
    tree.fill(np.array(leaves))
    fractions = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    assert tree.leaves[tree.find(np.array([*fractions, 0.0, np.nextafter(1.0, 0.0), 1.0]))[0]].all()


@given(leaves=st.lists(st.integers(0, 9), min_size=1, max_size=600).filter(any), data=st.data())
def test_find_agrees_with_a_search_of_the_running_sums(leaves, data):
    tree, reached = SumTree(len(leaves)), np.cumsum(leaves)
    tree.fill(np.array(leaves, float))
    masses = np.array(data.draw(st.lists(st.integers(0, int(reached[-1]) - 1), min_size=1, max_size=20))) + 0.5
    assert tree.find(masses / reached[-1])[0].tolist() == reached.searchsorted(masses, side="right").tolist()


def test_filling_empties_what_was_there_before():
    tree = SumTree(100)
    tree.put(np.arange(100), np.ones(100))
    tree.fill(np.array([1.0, 2.0]))
    assert tree.root == 3
    assert tree.leaves.sum() == 3
