from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.buffer.uniform import Uniform
from dqn_lab.types import ConfigError

SPACE = Discrete(30_000)
BELOW_ONE = np.nextafter(1.0, 0.0)
CHOICES = st.fixed_dictionaries({"stratified": st.booleans(), "normalize": st.sampled_from(["batch", "buffer"])})


def append(buffer, number, terminated=False):
    buffer.append(0, number, 0, 0.0, number + 1, terminated, False)


def filled(numbers, capacity=100, **configuration):
    buffer = Prioritized(SPACE, 0.5, 3, capacity=capacity, **configuration)
    for number in numbers:
        append(buffer, number)
    return buffer


def by_hand(**configuration):
    """Returns a buffer with |δ| = 0, 3, 8, 15 and ε = 1: p = 1, 4, 9, 16 and, with exponent ½, masses 1, 2, 3, 4."""
    settings = {"priority_exponent": 0.5, "priority_epsilon": 1.0, "importance_exponent": 1.0, "stratified": False}
    buffer = filled(range(4), **settings | configuration)
    buffer.update_priorities(np.arange(4), np.array([0, 3, 8, 15], np.float32))
    return buffer


def chances(buffer, draws=10_000):
    """Computes each transition's share of the unit interval from the midpoints of its equal parts."""
    indices, _ = buffer.masses.find((np.arange(draws) + 0.5) / draws)
    return np.bincount(indices, minlength=len(buffer)) / draws


def test_transitions_are_drawn_in_proportion_by_hand():
    """Running masses 1, 3, 6, 10 of 10: draws below 0.1 are transition 0, below 0.3 transition 1, below 0.6 …"""
    batch = by_hand().sample(np.array([0.05, 0.15, 0.29, 0.31, 0.59, 0.61, 0.99]))
    assert batch.indices.tolist() == batch.transition.obs.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert chances(by_hand()) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("importance_exponent", "weights"),
    [(1.0, [1, 1 / 2, 1 / 3, 1 / 4]), (0.5, [1, 2**-0.5, 3**-0.5, 0.5]), (0.0, [1] * 4)],
)
def test_importance_weights_by_hand(importance_exponent, weights):
    """(4 · 0.1)⁻¹ = 2.5, (4 · 0.2)⁻¹ = 1.25, 0.833, 0.625, over 2.5: 1, ½, ⅓, ¼; with β = ½ their square roots."""
    batch = by_hand(importance_exponent=importance_exponent).sample(np.array([0.05, 0.2, 0.5, 0.9]))
    assert batch.indices.tolist() == [0, 1, 2, 3]
    assert batch.weights.dtype == np.float32
    assert batch.weights == pytest.approx(weights)


@pytest.mark.parametrize(("normalize", "weights"), [("batch", [1, 0.5]), ("buffer", [0.5, 0.25])])
def test_weights_are_divided_by_the_largest_of_the_batch_or_buffer(normalize, weights):
    """Transitions 1 and 3 weigh 1.25 and 0.625; in the batch the largest is 1.25, in the buffer 2.5."""
    assert by_hand(normalize=normalize).sample(np.array([0.2, 0.9])).weights == pytest.approx(weights)


def test_the_least_priority_of_the_buffer_ignores_overwritten_transitions():
    """Four new transitions replace all four with the largest p, 16: mass 4 each, so weight 1."""
    buffer = by_hand(normalize="buffer", capacity=4)
    for number in range(4):
        append(buffer, number)
    assert buffer.sample(np.array([0.1, 0.9])).weights.tolist() == [1, 1]


def test_draws_are_stratified_by_hand():
    """Four draws of ½ fall at ⅛, ⅜, ⅝, ⅞ of the mass 10: 1.25, 3.75, 6.25, 8.75; running masses are 1, 3, 6, 10."""
    assert by_hand(stratified=True).sample(np.full(4, 0.5)).indices.tolist() == [1, 2, 3, 3]
    assert by_hand(stratified=False).sample(np.full(4, 0.5)).indices.tolist() == [2, 2, 2, 2]


def test_independent_draws_follow_the_priorities():
    """A χ² test with 9 degrees of freedom on 20,000 draws with p = 1 … 10 and exponent 1."""
    buffer, rng = filled(range(10), priority_exponent=1.0, stratified=False), np.random.default_rng(0)
    buffer.update_priorities(np.arange(10), np.arange(1.0, 11.0) - buffer.priority_epsilon)
    counts = np.bincount(np.concatenate([buffer.sample(rng.random(50)).indices for _ in range(400)]))
    expected = 20_000 * np.arange(1, 11) / 55
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # p-value 0.001


@given(priorities=st.lists(st.floats(0, 10), min_size=2, max_size=40), batch_size=st.integers(1, 16))
def test_stratified_and_independent_draws_have_the_same_marginals(priorities, batch_size):
    """Draws take each of 200 equal parts of every stratum; a border between transitions misplaces at most one part."""
    buffer = filled(range(len(priorities)), stratified=True)
    buffer.update_priorities(np.arange(len(priorities)), np.array(priorities))
    parts = [buffer.sample(np.full(batch_size, (k + 0.5) / 200)).indices for k in range(200)]
    found = np.bincount(np.concatenate(parts), minlength=len(priorities)) / (200 * batch_size)
    masses = (np.array(priorities) + 0.01) ** 0.6
    np.testing.assert_allclose(found, masses / masses.sum(), atol=1.001 / (200 * batch_size))


def test_the_variance_of_stratified_counts_follows_from_their_strata():
    """Stratum b draws transition i with probability q, the share of b that i covers: the variance is Σ q (1 − q).

    p = 1 … 12, eight draws a batch, 4,000 batches: marginals 8 P within four standard errors, and a variance below
    the 8 P (1 − P) of independent draws.
    """
    buffer, rng = filled(range(12), priority_exponent=1.0, stratified=True), np.random.default_rng(0)
    buffer.update_priorities(np.arange(12), np.arange(1.0, 13.0) - buffer.priority_epsilon)
    chance = np.arange(1, 13) / 78
    ends = np.cumsum(chance)
    strata = np.arange(9) / 8
    part = np.minimum(ends[:, None], strata[1:]) - np.maximum((ends - chance)[:, None], strata[:-1])
    q = 8 * part.clip(min=0)  # [12, 8]
    variance = (q * (1 - q)).sum(1)
    counts = np.array([np.bincount(buffer.sample(rng.random(8)).indices, minlength=12) for _ in range(4000)])
    assert (np.abs(counts.mean(0) - 8 * chance) <= 4 * np.sqrt(variance / 4000) + 1e-12).all()
    np.testing.assert_allclose(counts.var(0), variance, atol=0.02)
    assert (variance < 8 * chance * (1 - chance)).all()


@given(draws=st.lists(st.floats(0, 0.999), min_size=8, max_size=8))
def test_one_stratum_per_equal_transition_draws_each_once(draws):
    assert filled(range(8)).sample(np.array(draws)).indices.tolist() == list(range(8))


@given(
    draws=st.lists(st.floats(0, BELOW_ONE), min_size=1, max_size=16),
    priorities=st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    normalize=st.sampled_from(["batch", "buffer"]),
)
def test_exponent_zero_is_the_uniform_buffer(draws, priorities, normalize):
    size, draws = len(priorities), np.array(draws)
    buffer = filled(range(size), priority_exponent=0.0, stratified=False, normalize=normalize)
    buffer.update_priorities(np.arange(size), np.array(priorities))
    uniform = Uniform(SPACE, 0.5, 3, capacity=100)
    for number in range(size):
        append(uniform, number)
    batch = buffer.sample(draws)
    assert batch.indices.tolist() == uniform.sample(draws).indices.tolist()
    assert batch.weights.tolist() == [1] * len(draws)


def test_a_new_transition_gets_the_largest_priority_so_far():
    """The largest p is 1, then 4 by |δ| = 3.99; it stays 4 when that transition falls to 0.01."""
    buffer = filled(range(2), priority_exponent=1.0, stratified=False)
    assert buffer.masses.leaves[:2].tolist() == [1, 1]
    buffer.update_priorities(np.array([0]), np.array([0.49]))
    append(buffer, 2)
    assert buffer.masses.leaves[:3] == pytest.approx([0.5, 1, 1])
    buffer.update_priorities(np.array([1]), np.array([3.99]))
    buffer.update_priorities(np.array([1]), np.array([0.0]))
    append(buffer, 3)
    assert buffer.masses.leaves[:4] == pytest.approx([0.5, 0.01, 1, 4])


def test_the_largest_priority_is_raised_to_the_exponent_too():
    """The mass is 16 to the power of ½."""
    buffer = by_hand()
    append(buffer, 4)
    assert buffer.masses.leaves[4] == 4


def test_a_transition_that_takes_anothers_place_does_not_inherit_its_priority():
    buffer = filled(range(3), capacity=3, priority_exponent=1.0)
    buffer.update_priorities(np.arange(3), np.zeros(3))
    append(buffer, 3)
    assert buffer.masses.leaves == pytest.approx([1, 0.01, 0.01])


def test_of_several_priorities_for_one_transition_the_last_stays():
    buffer = filled(range(3), priority_exponent=1.0)
    buffer.update_priorities(np.array([1, 1, 2, 1]), np.array([9.0, 5.0, 3.0, 1.0]))
    assert buffer.masses.leaves[:3] == pytest.approx([1, 1.01, 3.01])
    assert buffer.largest == pytest.approx(9.01)


@pytest.mark.parametrize("worst", [-1e-3, math.nan, math.inf])
def test_an_invalid_priority_is_refused(worst):
    buffer = filled(range(3))
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        buffer.update_priorities(np.array([0, 1]), np.array([1.0, worst]))
    assert buffer.masses.leaves[:3].tolist() == [1, 1, 1]


def test_the_importance_exponent_rises_with_every_appended_step():
    """β rises from 0 to 1 over 8 steps; with masses 1 and 4 a weight is 4^−β: ½, ¼ and ¼ after 4, 8 and 12 steps.

    The first two steps complete no window of three, but are counted.
    """
    ramp = {"start": 0.0, "end": 1.0, "duration": 8, "unit": "steps"}
    found = {}
    buffer = filled(range(2), priority_exponent=1.0, n_step=3, importance_exponent=ramp, stratified=False)
    assert buffer.num_steps == 2
    for number in range(2, 12):
        append(buffer, number)
        buffer.update_priorities(np.array([0, 1]), np.array([0.99, 3.99]))
        buffer.masses.fill(np.array([1.0, 4.0]))
        found[buffer.num_steps] = buffer.sample(np.array([0.1, 0.9])).weights[1]
    assert [found[4], found[8], found[12]] == pytest.approx([1 / 2, 1 / 4, 1 / 4])


@given(data=st.data(), n_step=st.integers(1, 4), capacity=st.integers(1, 60), choices=CHOICES)
def test_the_latest_transitions_can_be_drawn_and_no_others(any_episodes, rows_of, data, n_step, capacity, choices):
    episodes = data.draw(any_episodes)
    buffer = Prioritized(SPACE, 0.5, 3, capacity=capacity, n_step=n_step, **choices)
    for step in episodes.steps:
        buffer.append(*step)
    expected = episodes.transitions(n_step, 0.5)
    assert len(buffer) == min(capacity, len(expected))
    if len(buffer):
        middles = (np.arange(len(buffer)) + 0.5) / len(buffer)
        drawn = rows_of(buffer.sample(np.full(len(buffer), 0.5) if choices["stratified"] else middles).transition)
        assert len(set(drawn)) == len(buffer)
        assert set(drawn) <= set(expected)


@given(data=st.data(), size=st.integers(1, 40), choices=CHOICES)
def test_nothing_is_drawn_that_was_not_added(data, size, choices):
    """With any priorities, and with draws just below and at 1."""
    buffer = filled(range(size), **choices)
    for _ in range(3):
        draws = data.draw(st.lists(st.floats(0, 1) | st.just(BELOW_ONE), min_size=1, max_size=9))
        batch = buffer.sample(np.array(draws))
        assert (batch.indices < size).all()
        assert ((batch.weights > 0) & (batch.weights <= 1)).all()
        count = len(batch.indices)
        priorities = data.draw(st.lists(st.floats(0, 1e12), min_size=count, max_size=count))
        buffer.update_priorities(batch.indices, np.array(priorities))


@given(data=st.data(), n_step=st.integers(1, 4), choices=CHOICES, capacity=st.integers(1, 12))
def test_saving_leaves_the_next_sample_unchanged(any_episodes, data, n_step, choices, capacity):
    """Bit for bit, with overwritten rows, new priorities and an unfinished ramp, loaded into a used buffer."""
    steps = data.draw(any_episodes).steps
    cut = data.draw(st.integers(0, len(steps)))
    ramp = {"start": 0.4, "end": 1.0, "duration": 10, "unit": "steps"}
    build = {"capacity": capacity, "n_step": n_step, "importance_exponent": ramp, **choices}
    buffer, other = (Prioritized(SPACE, 0.5, 3, **build) for _ in range(2))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))

    def advance(buffers, steps):
        for step in steps:
            for each in buffers:
                each.append(*step)
            if len(buffer):
                draws, priorities = rng.random(5), rng.exponential(size=5)
                batches = [each.sample(draws) for each in buffers]
                for batch in batches:
                    assert batch.indices.tolist() == batches[0].indices.tolist()
                    assert batch.weights.tolist() == batches[0].weights.tolist()
                    assert batch.transition.obs.tolist() == batches[0].transition.obs.tolist()
                for each in buffers:
                    each.update_priorities(batches[0].indices, priorities)

    advance([buffer], steps[:cut])
    for number in range(capacity):
        append(other, number, terminated=True)
    other.load_state_dict(pickle.loads(pickle.dumps(buffer.state_dict())))
    assert other.masses.nodes.tolist() == buffer.masses.nodes.tolist()
    advance([buffer, other], steps[cut:])


def test_only_what_is_stored_is_saved():
    assert len(filled(range(3), capacity=1000).state_dict()["masses"]) == 3


def test_memory_counts_the_trees_too():
    """1,000,000 leaves and, above them in families of 8, 125,000, 15,632, 1,960, 248, 32 and 8 nodes; 8 bytes each."""
    plain, buffer = Uniform(SPACE, 0.5, 1, capacity=1_000_000), Prioritized(SPACE, 0.5, 1, capacity=1_000_000)
    assert buffer.nbytes - plain.nbytes == 8 * (1_000_000 + 125_000 + 15_632 + 1_960 + 248 + 32 + 8)
    assert Prioritized(SPACE, 0.5, 1, capacity=9, normalize="buffer").nbytes == 9 * plain.nbytes // 10**6 + 2 * 8 * (
        16 + 8
    )


@pytest.mark.parametrize("key", ["batch_size", "n_step"])
def test_settings_that_never_fit_are_refused_before_a_run(key):
    config = {"buffer": {"capacity": 63, "n_step": 1}, "train": {"batch_size": 1}}
    config["train" if key == "batch_size" else "buffer"][key] = 64
    (problem,) = Prioritized.check(config)
    assert f".{key}=64: must be at most buffer.capacity=63" in problem


RAMP = {"start": 0.4, "end": 1.0, "duration": 10, "unit": "steps"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *itertools.product(["priority_exponent", "importance_exponent"], [-0.1, 1.1]),
        ("priority_epsilon", 0),
        ("normalize", "all"),
        ("stratified", 1),
        *(("importance_exponent", RAMP | change) for change in ({"end": 1.1}, {"duration": 0}, {"unit": "episodes"})),
    ],
)
def test_values_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^buffer\.{key}"):
        make("buffer", "prioritized", SPACE, 0.9, 1, **{key: value})


def test_the_importance_exponent_may_be_a_number(make):
    buffer = make("buffer", "prioritized", SPACE, 0.9, 1, importance_exponent=1)
    assert buffer.importance_exponent(None) == 1
